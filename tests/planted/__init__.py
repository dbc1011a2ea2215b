"""Planted breaks: thousands of trades whose causes are known, reconciled by the command, and worked out a second time.

    causes -> rows, and what must be found -> three files -> traderecon reconcile -> trades and totals compared

``causes`` plants what is wrong and states the verdict, ``money`` works out the stakes and the control totals in
fractions from the rows as they were sent, ``day`` draws the trades. None of them imports the product.
"""
