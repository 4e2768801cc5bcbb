// Package kvsuites runs the test suites of two other key-value libraries,
// valkeyrie and gokv, on every backend of kv, through adapters to their
// interfaces. What their interfaces ask for and kv does not offer is built here
// out of what it does offer; docs/kv.md lists the differences.
package kvsuites
