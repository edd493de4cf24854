"""The boards, as code: `python -m deploy.grafana.boards` writes them into deploy/grafana/dashboards.

`parts` is what panels are made of, `ask` the questions they put to Prometheus; `brands`, `brand` and `pipeline` are the
boards, `lint` what no board may do. Boards are classic JSON: Grafana 12 reads it, and 13 migrates it when it loads it.
"""

import warnings

with warnings.catch_warnings():
    # The SDK would rather have the newer schema, which Grafana 12 does not read from files.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import barchart, dashboard  # noqa: F401  # between them they import all that warns
