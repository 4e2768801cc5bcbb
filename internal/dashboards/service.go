package dashboards

const (
	httpServer = "http_server_request_duration_seconds"
	httpClient = "http_client_request_duration_seconds"
	rpcServer  = "rpc_server_call_duration_seconds"
	rpcClient  = "rpc_client_call_duration_seconds"
	dbClient   = "db_client_operation_duration_seconds"
	lockTaken  = "platform_lock_acquire_duration_seconds"
)

// Service is rates, errors and durations of a service, of what it calls, and of
// its process.
func Service() *Dashboard {
	d := newDashboard("go-platform-service", "Go Platform / Service", "Requests, errors and durations, what the service calls, saturation, and the Go runtime.",
		choice("job", "Service", "go_info", "job"), choice("instance", "Instance", `go_info{job=~"$job"}`, "instance"))

	d.row("Now")
	d.number("HTTP requests", "", "reqps", 0, query{rate("", httpServer+"_count"), ""})
	d.number("HTTP errors", "Share of requests that failed on the server's side.", "percentunit", .01, query{errors("", httpServer), ""})
	d.number("HTTP p99", "", "s", 1, query{quantile(.99, "", httpServer), ""})
	d.number("Instances", "", "short", 0, query{"count(" + series("go_info") + ")", ""})
	d.number("Checks that fail", "", "short", 1, query{"count(" + series("platform_check_status") + " < 0.5) or 0 * count(" + series("platform_check_status") + ")", ""})
	d.number("Registered", "0 if the registry has not confirmed one of the instances within its TTL.", "short", -1, query{"min(" + series("platform_registration_status") + ")", ""})

	d.row("HTTP server")
	d.graph("Requests by route", "Requests without a route match no pattern of the mux.", "reqps", query{rate("http_request_method, http_route", httpServer+"_count"), "{{http_request_method}} {{http_route}}"})
	d.graph("Errors by route", "Share of requests that failed on the server's side.", "percentunit", query{errors("http_request_method, http_route", httpServer), "{{http_request_method}} {{http_route}}"})
	d.graph("Duration", "", "s", quantiles(httpServer)...)
	d.graph("p99 by route", "", "s", query{quantile(.99, "http_request_method, http_route", httpServer), "{{http_request_method}} {{http_route}}"})
	d.graph("Responses by status", "", "reqps", query{rate("http_response_status_code", httpServer+"_count"), "{{http_response_status_code}}"})
	d.graph("In progress", "", "short", query{sum("http_request_method", series("http_server_active_requests")), "{{http_request_method}}"})

	d.row("gRPC server")
	d.graph("Calls by method", "", "reqps", query{rate("rpc_method", rpcServer+"_count"), "{{rpc_method}}"})
	d.graph("Errors by method", "Share of calls that failed on the server's side.", "percentunit", query{errors("rpc_method", rpcServer), "{{rpc_method}}"})
	d.graph("Duration", "", "s", quantiles(rpcServer)...)

	d.row("Refused and late")
	d.graph("Refused", "Calls that were not let in, by reason.", "reqps", query{rate("platform_reason", "platform_server_refusals_total"), "{{platform_reason}}"})
	d.graph("Late", "Answers that came after the call's deadline and were dropped.", "reqps", query{rate("http_route, rpc_method", "platform_server_late_total"), "{{http_route}}{{rpc_method}}"})
	d.graph("Other calls in progress", "gRPC calls and messages.", "short", query{sum("platform_protocol", series("platform_server_active_calls")), "{{platform_protocol}}"})

	d.row("What it calls")
	d.graph("HTTP calls by service", "With all attempts.", "reqps", query{rate("server_address", httpClient+"_count"), "{{server_address}}"})
	d.graph("HTTP errors by service", "Share of calls that failed after all attempts.", "percentunit", query{errors("server_address", httpClient), "{{server_address}}"})
	d.graph("HTTP p99 by service", "With all attempts.", "s", query{quantile(.99, "server_address", httpClient), "{{server_address}}"})
	d.graph("gRPC calls by service", "With all attempts.", "reqps", query{rate("server_address", rpcClient+"_count"), "{{server_address}}"})
	d.graph("gRPC errors by service", "Share of calls that failed after all attempts.", "percentunit", query{errors("server_address", rpcClient), "{{server_address}}"})
	d.graph("gRPC p99 by service", "With all attempts.", "s", query{quantile(.99, "server_address", rpcClient), "{{server_address}}"})

	stores(d)
	process(d)
	return d
}

func stores(d *Dashboard) {
	d.row("Stores and locks")
	d.graph("Operations", "", "ops", query{rate("db_system_name, db_operation_name", dbClient+"_count"), "{{db_system_name}} {{db_operation_name}}"})
	d.graph("Errors by system", "", "percentunit", query{errors("db_system_name", dbClient), "{{db_system_name}}"})
	d.graph("p99 by operation", "", "s", query{quantile(.99, "db_system_name, db_operation_name", dbClient), "{{db_system_name}} {{db_operation_name}}"})
	d.graph("Waiting for locks", "Mean, with the time that they were waited for.", "s", query{mean("platform_lock_operation", lockTaken), "{{platform_lock_operation}}"})
	d.graph("Locks", "", "short",
		query{sum("platform_lock_kind", series("platform_lock_held")), "{{platform_lock_kind}} held"},
		query{sum("platform_lock_kind", series("platform_lock_waiting")), "{{platform_lock_kind}} waited for"})
	d.graph("Locks lost", "Locks that ended before they were released: others may have had them meanwhile.", "ops", query{rate("platform_lock_kind", "platform_lock_lost_total"), "{{platform_lock_kind}}"})
}

func process(d *Dashboard) {
	d.row("Process and Go runtime")
	d.graph("Processors", "How many are busy with the process, and how many it may use.", "short",
		query{sum("instance", "rate("+series("process_cpu_seconds_total")+window+")"), "{{instance}}"},
		query{"max(" + series("go_sched_gomaxprocs_threads") + ")", "GOMAXPROCS"})
	d.graph("Memory", "", "bytes",
		query{aggregate("max", "instance", series("process_resident_memory_bytes")), "{{instance}} resident"},
		query{aggregate("max", "instance", series("go_memstats_heap_alloc_bytes")), "{{instance}} heap"})
	d.graph("Goroutines", "", "short", query{aggregate("max", "instance", series("go_goroutines")), "{{instance}}"})
	d.graph("Collection", "Processor time that garbage collection takes.", "percentunit",
		query{rate("instance", "go_cpu_classes_gc_total_cpu_seconds_total"), "{{instance}}"})
	d.graph("Longest pause", "Of the last collections.", "s", query{aggregate("max", "instance", series("go_gc_duration_seconds", `quantile=~"1|1.0"`)), "{{instance}}"})
	d.graph("Open files", "Share of those that the process may have open.", "percentunit",
		query{"max by (instance) (" + series("process_open_fds") + " / " + series("process_max_fds") + ")", "{{instance}}"})
	d.graph("Allocation", "", "Bps", query{rate("instance", "go_memstats_alloc_bytes_total"), "{{instance}}"})
	d.graph("Waiting for mutexes", "Time that goroutines wait, each second.", "s", query{rate("instance", "go_sync_mutex_wait_total_seconds_total"), "{{instance}}"})
	d.graph("Configuration", "Version in each process; 0 below if what runs is not what the sources hold.", "short",
		query{aggregate("max", "instance", series("platform_config_version")), "{{instance}} version"},
		query{aggregate("min", "instance", series("platform_config_status")), "{{instance}} status"})
}
