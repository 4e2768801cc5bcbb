// Package router picks the instance to call: client-side load balancing with
// labels, rules, zones, ejection and limits.
package router
