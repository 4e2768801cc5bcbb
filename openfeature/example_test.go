package openfeature_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/openfeature"
	of "github.com/open-feature/go-sdk/openfeature"
)

func ExampleNew() {
	ctx := context.Background()
	cfg, err := config.New(config.WithSource(config.Memory("flags", map[string]any{
		"flags": map[string]any{
			"new-checkout": map[string]any{
				"variants": map[string]any{"on": true, "off": false},
				"default":  "off",
				"rules":    []any{map[string]any{"match": map[string]any{"plan": "pro"}, "variant": "on"}},
			},
		},
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cfg.Close()
	// snippet: flags
	provider, err := openfeature.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := of.SetNamedProviderAndWait("shop", provider); err != nil {
		fmt.Println(err)
		return
	}
	defer of.Shutdown()
	client := of.NewClient("shop")
	for _, plan := range []string{"free", "pro"} {
		on, err := client.BooleanValue(ctx, "new-checkout", false, of.NewEvaluationContext("ann", map[string]any{"plan": plan}))
		fmt.Println(plan, on, err)
	}
	// end snippet
	// Output:
	// free false <nil>
	// pro true <nil>
}

func ExampleNewExposures() {
	ctx := context.Background()
	stream, err := event.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close(ctx)
	exposures, err := openfeature.NewExposures(stream)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer of.Shutdown()
	client := of.NewClient("experiment")
	client.AddHooks(exposures, openfeature.Spans())
	client.BooleanValue(ctx, "new-checkout", false, of.NewEvaluationContext("ann", nil)) // with a provider this is published
	fmt.Println(exposures.Close(ctx), exposures.Dropped())
	// Output: <nil> 0
}
