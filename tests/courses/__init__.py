"""Courses of events through the real matching agent: what may happen to trades, played and compared with an oracle.

    events  ->  Course (arrivals in log time, a journal)  ->  lives of the agent  ->  every published result
                                                          ->  truth: what the rows that came prove

``events``: what is drawn. ``timeline``: when each row arrives, and the journal. ``lives``: crashes, restarts, replays.
``truth``: the oracle, for groups and match keys as well. ``claims``: what must hold of the results.
"""
