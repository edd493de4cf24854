"""The stack, without containers: `make stack`. The demo's pipeline with a real Prometheus and a real Alertmanager.

    denyut demo ──/metrics──▶ Prometheus ──alerts──▶ Alertmanager ──messages──▶ sink ──▶ your terminal

`files` is the project's configuration led to this machine, `sink` stands where Slack, mail and the pager would be,
`family` is what runs and ends together, `stack` starts all of it.
"""
