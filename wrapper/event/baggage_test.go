package event_test

import (
	"context"
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	"github.com/micro/go-platform/trace/baggage"
	"github.com/micro/go-platform/wrapper"
)

func TestBaggageTravelsWithRecords(t *testing.T) {
	type seen struct {
		travels  string
		metadata map[string]string
	}
	for name, c := range map[string]struct {
		opts []wrapper.Option
		with map[string]string // the record's own metadata
		ctx  map[string]string
		want seen
	}{
		"none":           {nil, nil, nil, seen{"", map[string]string{}}},
		"some":           {nil, nil, map[string]string{"tenant": "a b"}, seen{"tenant=a%20b", map[string]string{"baggage": "tenant=a%20b"}}},
		"named":          {[]wrapper.Option{wrapper.WithBaggage("tenant", "user")}, nil, map[string]string{"tenant": "a b"}, seen{"tenant=a%20b", map[string]string{"baggage": "tenant=a%20b", "tenant": "a b"}}},
		"named, not set": {[]wrapper.Option{wrapper.WithBaggage("tenant")}, nil, nil, seen{"", map[string]string{}}},
		"has its own":    {[]wrapper.Option{wrapper.WithBaggage("tenant")}, map[string]string{"Tenant": "mine"}, map[string]string{"tenant": "a"}, seen{"tenant=a", map[string]string{"baggage": "tenant=a", "Tenant": "mine"}}},
		"was stored":     {nil, map[string]string{"baggage": "a=1"}, nil, seen{"a=1", map[string]string{"baggage": "a=1"}}},
		"malformed":      {nil, map[string]string{"Baggage": "a=1,x"}, nil, seen{"a=1", map[string]string{"Baggage": "a=1,x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan seen, 1)
			s := newStream(t, newWrapper(t, c.opts...))
			subscribe(t, s, func(ctx context.Context, r *event.Record) error {
				md := maps.Clone(r.Metadata)
				delete(md, "x-request-id")
				got <- seen{baggage.FromContext(ctx).String(), md}
				return nil
			})
			ctx := t.Context()
			for k, v := range c.ctx {
				var err error
				if ctx, err = baggage.Set(ctx, k, v); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Publish(ctx, &event.Record{Type: "t", Metadata: c.with}); err != nil {
				t.Fatal(err)
			}
			if r := receive(t, got); r.travels != c.want.travels || !maps.Equal(r.metadata, c.want.metadata) {
				t.Errorf("got %+v, want %+v", r, c.want)
			}
		})
	}
}

// A record that is posted as a CloudEvent keeps its baggage if its sender is
// one of us, and loses it and its labels otherwise.
func TestBaggageOfCloudEvents(t *testing.T) {
	ctx, err := baggage.Set(t.Context(), "tenant", "a b, ü")
	if err != nil {
		t.Fatal(err)
	}
	ctx = wrapper.ContextWithLabels(ctx, map[string]string{"shard": "7"})
	outside := newStream(t, newWrapper(t))
	if err := outside.Publish(ctx, &event.Record{ID: "1", Type: "t", Source: "s", Metadata: map[string]string{"own": "1", "own-too": "2"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		trusted bool
		tenant  string
		shard   string
	}{"a stranger": {false, "", ""}, "one of us": {true, "a b, ü", "7"}} {
		t.Run(name, func(t *testing.T) {
			inside := newStream(t, newWrapper(t))
			type seen struct {
				tenant, shard string
				md            map[string]string
			}
			got := make(chan seen, 1)
			subscribe(t, inside, func(ctx context.Context, r *event.Record) error {
				got <- seen{baggage.FromContext(ctx).Value("tenant"), wrapper.LabelsFromContext(ctx)["shard"], r.Metadata}
				return nil
			})
			h := cloudevents.Handler(inside)
			if c.trusted {
				h = cloudevents.TrustedHandler(inside)
			}
			srv := httptest.NewServer(h)
			defer srv.Close()
			for r, err := range outside.Query(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				req, err := cloudevents.NewRequest(srv.URL, r)
				if err != nil {
					t.Fatal(err)
				}
				if req.Header.Get("Ce-Baggage") == "" {
					t.Errorf("baggage is no extension: %v", req.Header)
				}
				resp, err := srv.Client().Do(req)
				if err != nil || resp.StatusCode != 202 {
					t.Fatal(resp, err)
				}
				resp.Body.Close()
			}
			s := receive(t, got)
			if s.tenant != c.tenant || s.shard != c.shard || s.md["own"] != "1" || s.md["own-too"] != "2" {
				t.Errorf("tenant %q, shard %q of %v; want %q and %q", s.tenant, s.shard, s.md, c.tenant, c.shard)
			}
		})
	}
}
