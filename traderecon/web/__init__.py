"""Web: the pages, their JSON and CSV twins, health and metrics. They read the database and nothing else.

app = StreamApp(..., web=True, web_application_options={"middlewares": middlewares()})
attach(app, Queries.open(url), metrics, pages=True, health=..., elsewhere=Elsewhere(()))
"""

from traderecon.web.doors import middlewares
from traderecon.web.elsewhere import Elsewhere
from traderecon.web.site import attach

__all__ = ["Elsewhere", "attach", "middlewares"]
