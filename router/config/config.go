// Package config reads the rules of package router from a configuration, live.
//
//	ro, err := router.New(router.WithDiscovery(d), router.WithRuleSource(routerconfig.Source(cfg, "router.rules")))
//
// # Backends
//
// Whatever the configuration is made of.
//
// # Semantics
//
// The value at the path is a list of router.Rule. A list that is not one, or
// rules that make no sense, leave the rules before it in force; a path without
// a value is no rules. Validate, as a subscriber, vetoes them in the
// configuration itself.
//
// # Errors
//
// They are in the router's log.
//
// # Closing
//
// The router's Close ends it. The configuration is its owner's.
package config

import (
	"context"
	"fmt"
	"iter"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/router"
)

// Source returns the rules at path.
func Source(c config.Config, path string) router.RuleSource { return source{c, path} }

type source struct {
	c    config.Config
	path string
}

func (s source) Rules(ctx context.Context) iter.Seq2[[]router.Rule, error] {
	return func(yield func([]router.Rule, error) bool) {
		for change, err := range s.c.Watch(ctx, s.path) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(Parse(change.New)) {
				return
			}
		}
	}
}

// Parse reads a list of rules from a value, and checks each.
func Parse(v config.Value) ([]router.Rule, error) {
	if !v.Exists() {
		return nil, nil
	}
	var all []router.Rule
	if err := v.Scan(&all); err != nil {
		return nil, err
	}
	for _, r := range all {
		if err := r.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", router.ErrInvalid, err)
		}
	}
	return all, nil
}

// Validate vetoes rules that make no sense where they would come into force:
//
//	cancel, err := cfg.Subscribe("router.rules", routerconfig.Validate)
func Validate(_ context.Context, c config.Change) (commit func(), err error) {
	_, err = Parse(c.New)
	return nil, err
}
