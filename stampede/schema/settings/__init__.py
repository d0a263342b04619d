"""A run's settings. ``roles/*/meta/argument_specs.yml`` describes them; here they are read and checked.

``variables.py``, which follows from the argument specs, has the shape of each. What must make sense beyond that is
checked in ``run_settings.py``, ``service_settings.py`` and ``influxdb_settings.py``.
"""

from stampede.schema.settings.influxdb_settings import Influxdb
from stampede.schema.settings.run_settings import Settings, check_variables
from stampede.schema.settings.service_settings import MAX_REDIRECTS, SERVICE_VALUES, HttpRequest, Service, fill_in

__all__ = [
    "MAX_REDIRECTS",
    "SERVICE_VALUES",
    "HttpRequest",
    "Influxdb",
    "Service",
    "Settings",
    "check_variables",
    "fill_in",
]
