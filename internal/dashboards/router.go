package dashboards

import "fmt"

// Router is how a service's clients balance, retry and leave out instances.
func Router() *Dashboard {
	d := newDashboard("go-platform-router", "Go Platform / Router", "How clients spread calls over the instances of a service, and what they do about those that fail.",
		choice("job", "Client", "platform_router_instances", "job"), choice("instance", "Client's instance", `platform_router_instances{job=~"$job"}`, "instance"),
		choice("service", "Service called", `platform_router_instances{job=~"$job"}`, "server_address"))
	const called = `server_address=~"$service"`
	by := func(labels, metric string, more ...string) string {
		return rate(labels, metric, append(more, called)...)
	}
	outcomes := "platform_router_outcomes_total"

	d.row("Shares")
	d.graph("Calls by instance", "Attempts that were answered, or not, by where they went.", "reqps",
		query{by("server_address, platform_instance_id", outcomes), "{{server_address}} {{platform_instance_id}}"})
	d.graph("Share by instance", "Equal instances have equal shares.", "percentunit",
		query{fmt.Sprintf("%s / on (server_address) group_left () %s", by("server_address, platform_instance_id", outcomes), by("server_address", outcomes)), "{{server_address}} {{platform_instance_id}}"})
	d.graph("Hottest instance ÷ mean", "1 is an even load.", "short",
		query{fmt.Sprintf("max by (server_address) (%[1]s) / avg by (server_address) (%[1]s)", by("server_address, platform_instance_id", outcomes)), "{{server_address}}"})
	d.graph("Outcomes", "", "reqps", query{by("platform_outcome", outcomes), "{{platform_outcome}}"})
	d.graph("Failures by instance", "", "percentunit",
		query{fmt.Sprintf("%s / %s", by("server_address, platform_instance_id", outcomes, `platform_outcome=~"server_error|overload|timeout|connect|unsent"`), by("server_address, platform_instance_id", outcomes)), "{{server_address}} {{platform_instance_id}}"})
	d.graph("Latency by instance", "Moving average, as the clients see it.", "s",
		query{aggregate("avg", "server_address, platform_instance_id", series("platform_router_latency_seconds", called)), "{{server_address}} {{platform_instance_id}}"})

	d.row("Left out")
	d.graph("Instances", "Mean over the clients.", "short",
		query{aggregate("avg", "server_address, platform_instance_state", series("platform_router_instances", called)), "{{server_address}} {{platform_instance_state}}"})
	d.graph("Ejections", "How often instances are taken out of rotation.", "ops",
		query{by("server_address, platform_instance_id", "platform_router_ejections_total"), "{{server_address}} {{platform_instance_id}}"})
	d.graph("Breakers", "By state; there are none unless the router has breakers.", "short",
		query{sum("server_address, platform_breaker_state", series("platform_router_breakers", called)), "{{server_address}} {{platform_breaker_state}}"})
	d.graph("Breakers that open", "", "ops",
		query{by("server_address, platform_instance_id", "platform_router_breaker_trips_total"), "{{server_address}} {{platform_instance_id}}"})

	d.row("Attempts")
	d.graph("Attempts by kind", "", "reqps", query{by("platform_attempt_kind", "platform_client_attempts_total"), "{{platform_attempt_kind}}"})
	d.graph("Attempts for each call", "1 is none again.", "short",
		query{fmt.Sprintf("%s / %s", by("server_address", "platform_client_attempts_total"), by("server_address", "platform_client_attempts_total", `platform_attempt_kind="first"`)), "{{server_address}}"})
	d.graph("Held back: no budget", "Retries and hedges that were not sent since the budget was spent.", "reqps",
		query{by("server_address, platform_attempt_kind", "platform_client_budget_exhausted_total"), "{{server_address}} {{platform_attempt_kind}}"})
	d.graph("Held back: calls", "Calls that were not sent: a limit, open breakers, or no instance.", "reqps",
		query{by("server_address, platform_reason", "platform_client_refusals_total"), "{{server_address}} {{platform_reason}}"})

	d.row("Discovery")
	d.graph("Instances known", "Mean over the clients. Those that the registry does not confirm are kept for a while.", "short",
		query{aggregate("avg", "server_address, platform_instance_state", series("platform_discovery_instances", called)), "{{server_address}} {{platform_instance_state}}"})
	d.graph("Registry", "1 while it keeps the clients up to date.", "short",
		query{aggregate("min", "server_address", series("platform_discovery_status", called)), "{{server_address}}"})
	d.graph("Staleness", "For how long the registry has not confirmed what is known.", "s",
		query{aggregate("max", "server_address", series("platform_discovery_staleness_seconds", called)), "{{server_address}}"})
	return d
}
