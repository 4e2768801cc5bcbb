// Package metrics measures go-platform's metrics against other libraries in one run.
package metrics
