// Package routers holds tests that put the library in front of routers that
// others wrote.
package routers
