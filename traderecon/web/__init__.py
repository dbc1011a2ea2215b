"""Web: the pages, also as JSON and CSV, health and metrics. The pages read only the database.

app = StreamApp(..., web_host="127.0.0.1", web_application_options={"middlewares": middlewares()})
attach(app, Queries.open(url), metrics, pages=True, health=..., siblings=Siblings(()))
"""

from traderecon.web.middleware import middlewares
from traderecon.web.siblings import Siblings
from traderecon.web.site import attach

__all__ = ["Siblings", "attach", "middlewares"]
