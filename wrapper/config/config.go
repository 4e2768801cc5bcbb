// Package config keeps the policies of package wrapper in a configuration, live:
// timeouts, retries, hedges and limits by service, route and method.
//
//	cancel, err := cfg.Subscribe("calls", wrapperconfig.Policies(w))
//
// # Backends
//
// Whatever the configuration is made of.
//
// # Semantics
//
// The value at the path is a list of wrapper.Policy:
//
//	calls:
//	  - service: greeter
//	    route: /reports/
//	    timeout: 30s
//	    retry: {attempts: 1}
//	  - service: billing
//	    limit: {concurrency: 20, per_second: 100, wait: true}
//	  - inbound: true
//	    method: POST
//	    route: /upload
//	    timeout: 1m
//
// They replace all that were there, those of wrapper.WithPolicies too, as soon
// as the whole change is accepted. A path without a value is no policies.
//
// # Errors
//
// Subscribe returns what is wrong with the first value. A later list that makes
// no sense vetoes its change, and the policies before it stay in force.
//
// # Closing
//
// cancel ends it: the newest policies stay in force.
package config

import (
	"context"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/wrapper"
)

// Policies returns a subscriber that puts a list of policies into force.
func Policies(w *wrapper.Wrapper) config.Subscriber {
	return func(_ context.Context, c config.Change) (commit func(), err error) {
		var all []wrapper.Policy
		if c.New.Exists() {
			if err := c.New.Scan(&all); err != nil {
				return nil, err
			}
		}
		if err := w.CheckPolicies(all...); err != nil {
			return nil, err
		}
		return func() {
			_ = w.SetPolicies(all...) // it was checked
		}, nil
	}
}
