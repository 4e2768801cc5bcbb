package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/router"
	routerconfig "github.com/micro/go-platform/router/config"
)

func routerNoun() *command {
	return &command{name: "router", short: "which instances a call may go to, and why", subs: []*command{routerExplain()}}
}

func routerExplain() *command {
	return &command{
		name: "explain", args: "SERVICE", min: 1, max: 1, short: "say which instances a call may go to under labels and rules, and why not to others",
		long: "It decides as a new client does: by the registry, labels, rules and weights. What a running\nprocess has learnt of latency and failures is its own; its page shows that.",
		examples: []string{
			"platform router explain orders",
			"platform router explain orders -label tenant=blue -rules rules.json",
			"platform router explain orders -document shop/prod -path router.rules -key user/42 -o json",
		},
		setup: func(f *flags) action {
			labels := f.pairs("label", "`NAME=VALUE` that the call carries; may be given several times")
			key := f.string("key", "", "`TEXT`: the key of the call, which a sticky draw goes by")
			method := f.string("method", "", "`NAME` of the method that is called")
			zone := f.string("zone", "", "`NAME` of the caller's zone")
			file := f.string("rules", "", "`FILE` with a list of rules in JSON")
			document := f.string("document", "", "`NAME` of the document of config that has the rules")
			path := f.string("path", "router.rules", "`PATH` of the rules in the document")
			documents := f.target("config", "the store of documents").within("config")
			registry := f.target("discovery", "the registry").within("")
			return func(ctx context.Context, c *call) error {
				rules, err := readRules(ctx, c, documents, *file, *document, *path)
				if err != nil {
					return err
				}
				d, err := openDiscovery(c, registry)
				if err != nil {
					return err
				}
				opts := []router.Option{router.WithDiscovery(d), router.WithRules(rules...)}
				if *zone != "" {
					opts = append(opts, router.WithZone(*zone))
				}
				ro, err := router.New(opts...)
				if err != nil {
					return err
				}
				c.closesWithin(ro.Close)
				var call []router.SelectOption
				if len(labels) > 0 {
					call = append(call, router.Labels(labels))
				}
				if *key != "" {
					call = append(call, router.Key(*key))
				}
				if *method != "" {
					call = append(call, router.Method(*method))
				}
				_, refused := ro.Select(ctx, c.args[0], call...)
				e := ro.Explain(c.args[0], call...)
				if refused != nil && e.Known == 0 {
					return refused
				}
				if err := printExplanation(c, e); err != nil {
					return err
				}
				return refused
			}
		},
	}
}

// readRules reads rules from a file or from a document.
func readRules(ctx context.Context, c *call, documents *target, file, document, path string) ([]router.Rule, error) {
	switch {
	case file != "" && document != "":
		return nil, badUse("rules from -rules or from -document, not from both")
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, badUse("%v", err)
		}
		s, err := config.ParseSnapshot(config.JSON{}, bytes.Join([][]byte{[]byte(`{"rules":`), b, []byte("}")}, nil))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return parseRules(s.Get("rules"), file)
	case document != "":
		st, err := openStore(c, documents)
		if err != nil {
			return nil, err
		}
		d, err := st.Get(ctx, document)
		if err != nil {
			return nil, missing(err, document)
		}
		v := d.Get(path)
		if !v.Exists() {
			return nil, no("%s has nothing at %q", document, path)
		}
		return parseRules(v, document)
	}
	return nil, nil
}

func parseRules(v config.Value, from string) ([]router.Rule, error) {
	rules, err := routerconfig.Parse(v)
	if err != nil {
		return nil, badUse("%s: %v", from, err)
	}
	return rules, nil
}

func printExplanation(c *call, e router.Explanation) error {
	if c.isJSON() {
		return c.json(e)
	}
	if c.isTable() {
		c.note("%s", summary(e))
	}
	out := c.table("ID", "ADDRESS", "WEIGHT", "CHOICE", "WHY NOT")
	for _, n := range e.Nodes {
		choice := painted{green, "yes"}
		if n.Why != "" {
			choice = painted{yellow, "no"}
		}
		why := n.Why
		if why == "labels" && e.Rule != "" {
			why = "labels, or another branch of the rule"
		}
		if err := out.row(nil, n.ID, n.Address, strconv.FormatFloat(n.Weight, 'g', 3, 64), choice, why); err != nil {
			return err
		}
	}
	return out.end("")
}

// summary is an explanation in a sentence.
func summary(e router.Explanation) string {
	s := fmt.Sprintf("%s by %s: %d instances known, %d match", e.Service, e.Strategy, e.Known, e.Matching)
	if e.Rule != "" {
		s += fmt.Sprintf("; rule %q", e.Rule)
		if e.Variant != "" {
			s += fmt.Sprintf(", variant %q", e.Variant)
		}
	}
	if e.Fallback != "" {
		s += "; " + e.Fallback
	}
	return s
}
