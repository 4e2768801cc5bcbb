// Package checks has ready-made functions for monitor.Check.
//
//	mo.Register(monitor.Check{Name: "database", Func: checks.SQL(db)})
//	mo.Register(monitor.Check{Name: "payments", Func: checks.HTTP("https://payments/livez"), Severity: monitor.Soft})
//	mo.Register(monitor.Check{Name: "disk", Func: checks.Disk("/var/lib/orders", 1<<30)})
//
// # Backends
//
// None. Disk works on Linux and returns an error elsewhere.
//
// # Semantics
//
// Each function does one attempt and is bounded by its context, which ends at
// Check.Timeout. All of them are safe for concurrent use. A check of what
// instances share should name it in Check.Dependency, so that a failure that
// all share takes none of them out of service.
//
// # Errors
//
// nil is good. An argument that makes no sense, such as a nil database, is the
// error of each run.
//
// # Closing
//
// Nothing is kept open between runs.
package checks
