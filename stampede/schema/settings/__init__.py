"""A run's settings. ``roles/*/meta/argument_specs.yml`` describes them; here they are read and checked.

``variables.py``, which is generated from the argument specs, has the shape of each. What must make sense beyond that
is checked in ``run_settings.py``, ``service_settings.py``, ``request_reader.py`` and ``influxdb_settings.py``.
"""
