package baggage_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
)

func ExampleSet() {
	ctx, err := baggage.Set(context.Background(), "tenant", "acme, inc")
	if err != nil {
		panic(err)
	}
	header := http.Header{} // of a request that goes out; wrapper's client does this by itself
	baggage.Inject(ctx, trace.Header(header))
	fmt.Println(header)
	// Output: map[Baggage:[tenant=acme%2C%20inc]]
}

func ExampleExtract() {
	header := http.Header{"Baggage": {"tenant=acme%2C%20inc;p=1, broken, user=zoe"}}
	ctx := baggage.Extract(context.Background(), trace.Header(header))
	for m := range baggage.FromContext(ctx).All() {
		fmt.Println(m.Name, m.Value, m.Properties)
	}
	// Output:
	// tenant acme, inc [{p 1 true}]
	// user zoe []
}

func ExampleParse() {
	b, err := baggage.Parse("tenant=acme,broken")
	fmt.Println(b.Value("tenant"), err)
	// Output: acme trace/baggage: parse: invalid: member "broken" is not name=value
}

func ExampleBaggage_With() {
	b, err := baggage.Baggage{}.With(baggage.Member{Name: "tenant", Value: "acme"})
	if err != nil {
		panic(err)
	}
	ctx := baggage.ContextWith(context.Background(), b)
	fmt.Println(baggage.FromContext(ctx), baggage.FromContext(ctx).Without("tenant").Len())
	// Output: tenant=acme 0
}

func ExampleAttrs() {
	records := log.NewRecorder(10, log.Logfmt())
	l, err := log.New(log.Memory(records), log.WithContext(baggage.Attrs("tenant")))
	if err != nil {
		panic(err)
	}
	ctx, err := baggage.Set(context.Background(), "tenant", "acme")
	if err != nil {
		panic(err)
	}
	l.Logger("").InfoContext(ctx, "placed")
	l.Close(ctx)
	_, line, _ := strings.Cut(records.Records()[0], " ")
	fmt.Print(line)
	// Output: level=INFO msg=placed tenant=acme
}
