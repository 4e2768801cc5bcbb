package auth_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
)

// Rules that follow a configuration: an edit is live at once, and a bad one is
// refused before it is.
func ExampleRuleSet_Validate() {
	source := config.Memory("rules", map[string]any{"auth": map[string]any{
		"revision": "1", "rules": []any{map[string]any{"id": "readers", "effect": "allow", "roles": []any{"reader"}}},
	}})
	c, err := config.New(config.WithSource(source))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	rules, err := config.Bind[auth.RuleSet](c, "auth")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rules.Close()
	p, err := auth.NewPolicies(*rules.Load())
	if err != nil {
		fmt.Println(err)
		return
	}
	rules.OnChange(func(_, set *auth.RuleSet) { p.Replace(*set) }) // a bad set doesn't get here

	reader := &auth.Token{Subject: "ann", Roles: []string{"reader"}}
	d, _ := p.Decide(context.Background(), reader, auth.Request{Action: "GET"})
	fmt.Println(d.Effect, d.Rule)
	// Output: allow readers
}

func TestRulesFollowTheConfiguration(t *testing.T) {
	set := func(revision, effect string) map[string]any {
		return map[string]any{"auth": map[string]any{"revision": revision, "rules": []any{
			map[string]any{"id": "r", "effect": effect, "subjects": []any{"*"}, "when": []any{map[string]any{"attribute": "request.n", "op": "ge", "value": 3}}},
		}}}
	}
	source := config.Memory("rules", set("1", "allow"))
	c, err := config.New(config.WithSource(source))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rules, err := config.Bind[auth.RuleSet](c, "auth")
	if err != nil {
		t.Fatal(err)
	}
	defer rules.Close()
	p := policies(t, *rules.Load())
	rules.OnChange(func(_, s *auth.RuleSet) {
		if err := p.Replace(*s); err != nil {
			t.Errorf("a set that was let through: %v", err)
		}
	})
	r := auth.Request{Attributes: map[string]any{"n": 5}}
	if d := decide(t, p, &auth.Token{Subject: "a"}, r); d.Effect != auth.Allow {
		t.Fatalf("%+v", d)
	}
	source.Set(set("2", "permit")) // a typo
	source.Set(set("3", "deny"))
	deadline := time.Now().Add(30 * time.Second)
	for p.Revision() != "3" {
		if time.Now().After(deadline) {
			t.Fatalf("the rules are still those of revision %s", p.Revision())
		}
		time.Sleep(time.Millisecond)
	}
	if d := decide(t, p, &auth.Token{Subject: "a"}, r); d.Effect != auth.Deny || d.Rule != "r" {
		t.Errorf("%+v", d)
	}
}
