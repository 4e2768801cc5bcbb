package dashboards

import "fmt"

// Alerts returns what wakes people, and what waits for the morning.
func Alerts() []Group {
	return []Group{
		{Name: "go-platform: objectives", Rules: objectives()},
		{Name: "go-platform: calls", Rules: callAlerts()},
		{Name: "go-platform: messages", Rules: messageAlerts()},
		{Name: "go-platform: parts", Rules: partAlerts()},
	}
}

func objectives() (all []Rule) {
	for _, o := range []struct {
		alert, series, what string
		budget              float64
	}{
		{"ErrorBudgetBurns", "job:platform_server_errors:ratio_rate", "of the calls fail", errorBudget},
		{"LatencyBudgetBurns", "job:platform_server_slow:ratio_rate", "of the calls take longer than " + slow + " s", slowBudget},
	} {
		for _, b := range burns {
			all = append(all, Rule{
				Alert: o.alert, Severity: b.severity, Window: b.long,
				Expr:        fmt.Sprintf("%s%s > %v * %v and %s%s > %v * %v", o.series, b.long, b.factor, o.budget, o.series, b.short, b.factor, o.budget),
				Summary:     fmt.Sprintf("{{ $labels.job }}: {{ $value | humanizePercentage }} %s, over %s", o.what, b.long),
				Description: fmt.Sprintf("The objective allows %v %%. At this pace the budget of 30 days is spent %v times as fast as it may be. See the dashboard Service: which route, which status.", 100*o.budget, b.factor),
			})
		}
	}
	return all
}

func callAlerts() []Rule {
	return []Rule{
		{
			Alert: "BreakersOpen", Severity: "page", For: "5m",
			Expr:        `sum by (job, server_address) (platform_router_breakers{platform_breaker_state="open"}) > 0`,
			Summary:     `{{ $labels.job }}: {{ $value }} breakers to {{ $labels.server_address }} are open`,
			Description: "Instances of the service fail so often that clients have stopped calling them. See the dashboard Router: Failures by instance.",
		},
		{
			Alert: "InstancesEjected", Severity: "ticket", For: "10m",
			Expr:        `sum by (job, server_address) (platform_router_instances{platform_instance_state="ejected"}) / sum by (job, server_address) (platform_router_instances) > 0.2`,
			Summary:     `{{ $labels.job }}: {{ $value | humanizePercentage }} of the instances of {{ $labels.server_address }} are out of rotation`,
			Description: "Clients leave out instances that fail, or are slower than the others. At most 30 % are left out by default, and those that are left get their load.",
		},
		{
			Alert: "RetryBudgetExhausted", Severity: "ticket", For: "5m",
			Expr:        `sum by (job, server_address) (rate(platform_client_budget_exhausted_total{platform_attempt_kind="retry"}[5m])) > 0`,
			Summary:     `{{ $labels.job }}: too many calls to {{ $labels.server_address }} fail to be sent again`,
			Description: "More calls fail than may be sent again, so callers see failures. The service called is in trouble.",
		},
		{
			Alert: "NoInstances", Severity: "page", For: "2m",
			Expr:        `sum by (job, server_address) (rate(platform_client_refusals_total{platform_reason="no_instance"}[5m])) > 0`,
			Summary:     `{{ $labels.job }}: nobody is there to call for {{ $labels.server_address }}`,
			Description: "No instance of the service is registered, or none matches the routing rules.",
		},
	}
}

func messageAlerts() []Rule {
	return []Rule{
		{
			Alert: "GroupFallsBehind", Severity: "page", For: "15m",
			Expr:        `job:platform_messaging_lag:max > 1000 and delta(job:platform_messaging_lag:max[15m]) > 0`,
			Summary:     `{{ $labels.job }}: the group {{ $labels.messaging_consumer_group_name }} is {{ $value }} records behind, and falls further`,
			Description: "More is published than the group handles. See the dashboard Messaging: Busy handlers, Errors of handlers.",
		},
		{
			Alert: "DeadLetters", Severity: "ticket",
			Expr:        `sum by (job, messaging_consumer_group_name) (increase(platform_messaging_dead_letters_total[15m])) > 0`,
			Summary:     `{{ $labels.job }}: records of the group {{ $labels.messaging_consumer_group_name }} went to the dead letters`,
			Description: "Their handler failed at each attempt. They are in the stream, under the type of the dead letters.",
		},
		{
			Alert: "RecordsLost", Severity: "page",
			Expr:        `sum by (job, messaging_consumer_group_name) (increase(platform_messaging_dropped_total[15m]) + increase(platform_messaging_missed_total[15m])) > 0`,
			Summary:     `{{ $labels.job }}: the group {{ $labels.messaging_consumer_group_name }} has lost records`,
			Description: "They were given up without dead letters, or removed by retention before they were read.",
		},
	}
}

func partAlerts() []Rule {
	return []Rule{
		{
			Alert: "CheckFails", Severity: "page", For: "5m",
			Expr:        `max by (job, platform_check_name) (platform_check_status) == 0`,
			Summary:     `{{ $labels.job }}: the check {{ $labels.platform_check_name }} fails on every instance`,
			Description: "See /statusz for the reason.",
		},
		{
			Alert: "CheckFailsSomewhere", Severity: "ticket", For: "15m",
			Expr:        `min by (job, platform_check_name) (platform_check_status) == 0`,
			Summary:     `{{ $labels.job }}: the check {{ $labels.platform_check_name }} fails on an instance`,
			Description: "See /statusz of the instance for the reason.",
		},
		{
			Alert: "NotRegistered", Severity: "ticket", For: "5m",
			Expr:        `platform_registration_status == 0`,
			Summary:     `{{ $labels.instance }} is not registered as {{ $labels.server_address }}`,
			Description: "The registry has not confirmed it within its TTL, or another instance has taken its id. It gets no calls, or soon will not.",
		},
		{
			Alert: "RegistryUnavailable", Severity: "ticket", For: "10m",
			Expr:        `min by (job, server_address) (platform_discovery_status) == 0`,
			Summary:     `{{ $labels.job }} goes on with what it knew of {{ $labels.server_address }}`,
			Description: "The registry can't be reached. Calls go on; instances that come or go are not seen.",
		},
		{
			Alert: "ConfigurationNotRunning", Severity: "ticket", For: "10m",
			Expr:        `min by (job) (platform_config_status) == 0`,
			Summary:     `{{ $labels.job }}: what runs is not what the sources hold`,
			Description: "A source can't be read, or its newest content was refused. See the log, or Health.",
		},
		{
			Alert: "LocksLost", Severity: "ticket",
			Expr:        `sum by (job, platform_lock_kind) (increase(platform_lock_lost_total[15m])) > 0`,
			Summary:     `{{ $labels.job }}: a {{ $labels.platform_lock_kind }} was lost before it was released`,
			Description: "The lock service could not be reached for as long as the lease lasts, or the process stood still. Work under the lock was cancelled, and another holder may have begun.",
		},
	}
}
