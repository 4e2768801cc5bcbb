package dashboards

const (
	messageProcess = "messaging_process_duration_seconds"
	messageClient  = "messaging_client_operation_duration_seconds"
)

// Messaging is what is published and handled, and how far consumers are behind.
func Messaging() *Dashboard {
	d := newDashboard("go-platform-messaging", "Go Platform / Messaging", "What is published and handled, how far groups are behind, and what was given up.",
		choice("job", "Service", "messaging_client_operation_duration_seconds_count", "job"),
		choice("instance", "Instance", `messaging_client_operation_duration_seconds_count{job=~"$job"}`, "instance"))
	const group = "messaging_consumer_group_name"
	const destination = "messaging_destination_name"

	d.row("Published")
	d.graph("Published", "", "ops", query{rate(destination, "messaging_client_sent_messages_total"), "{{messaging_destination_name}}"})
	d.graph("Errors", "Share of publishing that failed.", "percentunit", query{errors(destination, messageClient), "{{messaging_destination_name}}"})
	d.graph("Duration of publishing", "", "s", quantiles(messageClient)...)

	d.row("Handled")
	d.graph("Delivered", "Deliveries to handlers, repeated ones too.", "ops", query{rate(group+", "+destination, "messaging_client_consumed_messages_total"), "{{messaging_consumer_group_name}} {{messaging_destination_name}}"})
	d.graph("Errors of handlers", "Share of deliveries whose handler failed.", "percentunit", query{errors(group+", "+destination, messageProcess), "{{messaging_consumer_group_name}} {{messaging_destination_name}}"})
	d.graph("Duration of handlers", "", "s", quantiles(messageProcess)...)
	d.graph("p99 of handlers by type", "", "s", query{quantile(.99, group+", "+destination, messageProcess), "{{messaging_consumer_group_name}} {{messaging_destination_name}}"})
	d.graph("Busy handlers", "How many handlers are busy on average.", "short", query{rate(group, messageProcess+"_sum"), "{{messaging_consumer_group_name}}"})
	d.graph("Held", "Records that processes have and that are not done.", "short", query{sum(group+", platform_state", series("platform_messaging_held")), "{{messaging_consumer_group_name}} {{platform_state}}"})

	d.row("Behind")
	d.graph("Lag", "Records that were not handed out to the group.", "short", query{aggregate("max", group, series("platform_messaging_lag", `platform_state="behind"`)), "{{messaging_consumer_group_name}}"})
	d.graph("Pending", "Records that were handed out and are not acknowledged.", "short", query{aggregate("max", group, series("platform_messaging_lag", `platform_state="pending"`)), "{{messaging_consumer_group_name}}"})

	d.row("Given up and repeated")
	d.graph("Dead letters", "", "ops", query{rate(group, "platform_messaging_dead_letters_total"), "{{messaging_consumer_group_name}}"})
	d.graph("Redelivered", "Records that another consumer had before.", "ops", query{rate(group, "platform_messaging_redelivered_total"), "{{messaging_consumer_group_name}}"})
	d.graph("Lost to consumers", "Given up without dead letters, or removed by retention before they were read.", "ops",
		query{rate(group, "platform_messaging_dropped_total"), "{{messaging_consumer_group_name}} dropped"},
		query{rate(group, "platform_messaging_missed_total"), "{{messaging_consumer_group_name}} missed"})
	return d
}
