package config_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/router"
	routerconfig "github.com/micro/go-platform/router/config"
)

func TestParseOfWhatIsThere(t *testing.T) {
	one := document(10)["router"].(map[string]any)["rules"].([]any)
	for _, c := range []struct {
		what  string
		rules any
		want  int
		err   error
	}{
		{"nothing", nil, 0, nil},
		{"an empty list", []any{}, 0, nil},
		{"one", one, 1, nil},
		{"no list", "none", 0, config.ErrInvalid},
		{"no rule", []any{1}, 0, config.ErrInvalid},
		{"one without sense", document(300)["router"].(map[string]any)["rules"], 0, router.ErrInvalid},
		{"one without sense behind a good one", append(one[:1:1], document(300)["router"].(map[string]any)["rules"].([]any)...), 0, router.ErrInvalid},
	} {
		doc := map[string]any{"other": 1}
		if c.rules != nil {
			doc["rules"] = c.rules
		}
		cfg, err := config.New(config.WithSource(config.Memory("rules", doc)))
		if err != nil {
			t.Fatal(err)
		}
		defer cfg.Close()
		all, err := routerconfig.Parse(cfg.Get("rules"))
		if len(all) != c.want || (err == nil) != (c.err == nil) || c.err == router.ErrInvalid && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v, want %d, %v", c.what, all, err, c.want, c.err)
		}
		_, veto := routerconfig.Validate(t.Context(), config.Change{New: cfg.Get("rules")})
		if (veto == nil) != (err == nil) {
			t.Errorf("%s: Validate = %v, but Parse = %v", c.what, veto, err)
		}
	}
}

// over is a configuration whose changes are given.
type over struct {
	config.Config
	all []error // nil: a change to nothing
}

func (o over) Watch(context.Context, string) iter.Seq2[config.Change, error] {
	return func(yield func(config.Change, error) bool) {
		for _, err := range o.all {
			if !yield(config.Change{}, err) {
				return
			}
		}
	}
}

func TestRulesEndWithTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		all   []error
		takes int // how many the reader takes
		want  []error
	}{
		{[]error{nil, nil}, 9, []error{nil, nil}},
		{[]error{nil, config.ErrClosed, nil}, 9, []error{nil, config.ErrClosed}}, // what follows an end is nothing
		{[]error{nil, nil, nil}, 2, []error{nil, nil}},
	} {
		var got []error
		for rules, err := range routerconfig.Source(over{all: c.all}, "rules").Rules(t.Context()) {
			if rules != nil {
				t.Errorf("rules %v, want none", rules)
			}
			got = append(got, err)
			if len(got) == c.takes {
				break
			}
		}
		if len(got) != len(c.want) {
			t.Fatalf("%v: %v, want %v", c.all, got, c.want)
		}
		for i := range got {
			if !errors.Is(got[i], c.want[i]) {
				t.Errorf("%v: %v, want %v", c.all, got, c.want)
			}
		}
	}
}
