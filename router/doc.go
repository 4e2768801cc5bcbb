// Package router picks the instance to call: client-side load balancing with
// labels, rules, ejection, breakers and limits, and a view that processes share.
package router
