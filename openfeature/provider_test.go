package openfeature_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/openfeature"
	"github.com/micro/go-platform/trace"
	of "github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
)

// program is one with a configuration and a client of OpenFeature.
type program struct {
	t        *testing.T
	source   *config.MemorySource
	cfg      config.Config
	provider *openfeature.Provider
	client   *of.Client
}

func start(t *testing.T, flags string) *program {
	t.Helper()
	p := &program{t: t, source: config.Memory("flags", document(t, flags))}
	var err error
	p.cfg, err = config.New(config.WithSource(p.source))
	if err != nil {
		t.Fatal(err)
	}
	p.provider, err = openfeature.New(p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(t.Context(), p.provider); err != nil {
		t.Fatal(err)
	}
	p.client = api.NewClient()
	t.Cleanup(func() {
		if err := api.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		p.cfg.Close()
	})
	return p
}

func document(t *testing.T, flags string) map[string]any {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(`{"flags":{`+flags+`}}`), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// set changes the flags and waits for it.
func (p *program) set(flags string) error {
	p.t.Helper()
	if err := p.source.Set(document(p.t, flags)); err != nil {
		p.t.Fatal(err)
	}
	return p.cfg.Reload(p.t.Context())
}

// scenarios are the flags of the evaluation scenarios of OpenFeature's
// specification (appendix B, evaluation.feature).
const scenarios = `
	"boolean-flag": {"variants": {"on": true, "off": false}, "default": "on"},
	"string-flag": {"variants": {"greeting": "hi", "parting": "bye"}, "default": "greeting"},
	"integer-flag": {"variants": {"one": 1, "ten": 10}, "default": "ten"},
	"float-flag": {"variants": {"tenth": 0.1, "half": 0.5}, "default": "half"},
	"object-flag": {"variants": {"empty": {}, "template": {"showImages": true, "title": "Check out these pics!", "imagesPerPage": 100}}, "default": "template"},
	"wrong-flag": {"variants": {"one": "uno", "two": "dos"}, "default": "one"},
	"context-aware": {"variants": {"internal": "INTERNAL", "external": "EXTERNAL"}, "default": "external",
		"rules": [{"match": {"fn": "Sulisław", "ln": "Świętopełk", "age": 29, "customer": false}, "variant": "internal"}]}`

func TestScenariosOfTheSpecification(t *testing.T) {
	p := start(t, scenarios)
	none := of.EvaluationContext{}
	who := func(age any) of.EvaluationContext {
		return of.NewTargetlessEvaluationContext(map[string]any{"fn": "Sulisław", "ln": "Świętopełk", "age": age, "customer": false})
	}
	template := map[string]any{"showImages": true, "title": "Check out these pics!", "imagesPerPage": 100.0}
	for _, c := range []struct {
		key     string
		normal  any
		with    of.EvaluationContext
		value   any
		variant string
		reason  of.Reason
		code    of.ErrorCode
	}{
		{"boolean-flag", false, none, true, "on", of.StaticReason, ""},
		{"string-flag", "bye", none, "hi", "greeting", of.StaticReason, ""},
		{"integer-flag", int64(1), none, int64(10), "ten", of.StaticReason, ""},
		{"float-flag", 0.1, none, 0.5, "half", of.StaticReason, ""},
		{"object-flag", any(nil), none, template, "template", of.StaticReason, ""},
		{"context-aware", "EXTERNAL", who(int64(29)), "INTERNAL", "internal", of.TargetingMatchReason, ""},
		{"context-aware", "x", who(29), "INTERNAL", "internal", of.TargetingMatchReason, ""},
		{"context-aware", "x", who(29.0), "INTERNAL", "internal", of.TargetingMatchReason, ""},
		{"context-aware", "x", who(30), "EXTERNAL", "external", of.DefaultReason, ""},
		{"context-aware", "x", who("29"), "EXTERNAL", "external", of.DefaultReason, ""},
		{"context-aware", "x", none, "EXTERNAL", "external", of.DefaultReason, ""},
		{"missing-string-flag", "uh-oh", none, "uh-oh", "", of.ErrorReason, of.FlagNotFoundCode},
		{"wrong-flag", int64(13), none, int64(13), "", of.ErrorReason, of.TypeMismatchCode},
		{"boolean-flag", "x", none, "x", "", of.ErrorReason, of.TypeMismatchCode},
		{"float-flag", int64(3), none, int64(3), "", of.ErrorReason, of.TypeMismatchCode},
		{"integer-flag", 0.1, none, 10.0, "ten", of.StaticReason, ""},
	} {
		t.Run(fmt.Sprintf("%s as %T %v", c.key, c.normal, c.with.Attributes()), func(t *testing.T) {
			value, d, err := evaluate(p.client, c.key, c.normal, c.with)
			if !reflect.DeepEqual(value, c.value) || d.Variant != c.variant || d.Reason != c.reason || d.ErrorCode != c.code || (err != nil) != (c.code != "") {
				t.Errorf("%v (%T), variant %q, %s, code %q, %v; want %v, %q, %s, %q", value, value, d.Variant, d.Reason, d.ErrorCode, err, c.value, c.variant, c.reason, c.code)
			}
		})
	}
}

// evaluate asks for a flag of the type of normal.
func evaluate(c *of.Client, key string, normal any, with of.EvaluationContext) (value any, d of.EvaluationDetails, err error) {
	ctx := context.Background()
	switch n := normal.(type) {
	case bool:
		r, err := c.BooleanValueDetails(ctx, key, n, with)
		return r.Value, r.EvaluationDetails, err
	case string:
		r, err := c.StringValueDetails(ctx, key, n, with)
		return r.Value, r.EvaluationDetails, err
	case int64:
		r, err := c.IntValueDetails(ctx, key, n, with)
		return r.Value, r.EvaluationDetails, err
	case float64:
		r, err := c.FloatValueDetails(ctx, key, n, with)
		return r.Value, r.EvaluationDetails, err
	}
	r, err := c.ObjectValueDetails(ctx, key, normal, with)
	return r.Value, r.EvaluationDetails, err
}

func TestFlagsWithoutVariantsAndDisabledOnes(t *testing.T) {
	p := start(t, `"banner": "Welcome", "limits": {"a": [1, 2]}, "old": {"variants": {"on": true}, "default": "on", "disabled": true}, "null": null`)
	if v, d, err := evaluate(p.client, "banner", "x", of.EvaluationContext{}); v != "Welcome" || d.Reason != of.StaticReason || d.Variant != "" || err != nil {
		t.Errorf("banner: %v, %+v, %v", v, d, err)
	}
	v, _, err := evaluate(p.client, "limits", any(nil), of.EvaluationContext{})
	if want := map[string]any{"a": []any{1.0, 2.0}}; !reflect.DeepEqual(v, want) || err != nil {
		t.Fatalf("limits: %v, %v", v, err)
	}
	v.(map[string]any)["a"] = "changed by the caller"
	if v, _, _ := evaluate(p.client, "limits", any(nil), of.EvaluationContext{}); !reflect.DeepEqual(v, map[string]any{"a": []any{1.0, 2.0}}) {
		t.Errorf("what a caller changed is there for the next one: %v", v)
	}
	if v, d, err := evaluate(p.client, "old", false, of.EvaluationContext{}); v != false || d.Reason != of.DisabledReason || err != nil {
		t.Errorf("a disabled flag: %v, %+v, %v", v, d, err)
	}
}

func TestRules(t *testing.T) {
	p := start(t, `"f": {"variants": {"a": "A", "b": "B", "c": "C"}, "default": "c", "rules": [
		{"match": {"plan": ["pro", "team"], "beta": true}, "variant": "a"},
		{"match": {"targetingKey": "ann"}, "variant": "b"},
		{"match": {"org": "x"}, "by": "org", "split": {"a": 100}},
		{"match": {"team": ""}, "by": "team", "split": {"b": 100}},
		{"match": {"who": "key"}, "split": {"b": 100}}]}`)
	for _, c := range []struct {
		with of.EvaluationContext
		want string
		code of.ErrorCode
	}{
		{of.NewTargetlessEvaluationContext(map[string]any{"plan": "pro", "beta": true}), "A", ""},
		{of.NewTargetlessEvaluationContext(map[string]any{"plan": "team", "beta": true}), "A", ""},
		{of.NewTargetlessEvaluationContext(map[string]any{"plan": "free", "beta": true}), "C", ""},
		{of.NewTargetlessEvaluationContext(map[string]any{"plan": "pro", "beta": false}), "C", ""},
		{of.NewTargetlessEvaluationContext(map[string]any{"plan": "pro"}), "C", ""},
		{of.NewEvaluationContext("ann", nil), "B", ""},
		{of.NewEvaluationContext("ben", nil), "C", ""},
		{of.NewEvaluationContext("ann", map[string]any{"plan": "pro", "beta": true}), "A", ""}, // the first that fits
		{of.NewTargetlessEvaluationContext(map[string]any{"org": "x"}), "A", ""},
		{of.NewEvaluationContext("ben", map[string]any{"who": "key"}), "B", ""},
		{of.NewTargetlessEvaluationContext(map[string]any{"who": "key"}), "normal", of.TargetingKeyMissingCode},
		{of.NewTargetlessEvaluationContext(map[string]any{"team": ""}), "normal", of.TargetingKeyMissingCode},
	} {
		if v, d, _ := evaluate(p.client, "f", "normal", c.with); v != c.want || d.ErrorCode != c.code {
			t.Errorf("%v %v: %v %q, want %v %q", c.with.TargetingKey(), c.with.Attributes(), v, d.ErrorCode, c.want, c.code)
		}
	}
}

// Shares are as said, users keep their variant when a share grows, and two flags
// draw differently.
func TestSplitsAreEvenAndSticky(t *testing.T) {
	flag := func(on float64) string {
		return fmt.Sprintf(`{"variants": {"on": true, "off": false}, "default": "off", "rules": [{"split": {"on": %v}}]}`, on)
	}
	p := start(t, `"f": `+flag(20)+`, "g": `+flag(20))
	const users = 20_000
	draw := func(key string) map[int]bool {
		on := map[int]bool{}
		for i := range users {
			v, err := p.client.BooleanValueDetails(t.Context(), key, false, of.NewEvaluationContext(fmt.Sprint("user-", i), nil))
			if err != nil || v.Reason != of.SplitReason {
				t.Fatalf("user %d: %+v, %v", i, v, err)
			}
			if v.Value {
				on[i] = true
			}
		}
		return on
	}
	near := func(what string, n int, share float64) {
		t.Helper()
		if sigma := math.Sqrt(users * share * (1 - share)); math.Abs(float64(n)-users*share) > 5*sigma {
			t.Errorf("%s: %d of %d, want %.0f", what, n, users, users*share)
		}
	}
	before, other := draw("f"), draw("g")
	near("on at 20 %", len(before), .2)
	both := 0
	for i := range before {
		if other[i] {
			both++
		}
	}
	near("on for both flags", both, .04)
	if err := p.set(`"f": ` + flag(50) + `, "g": ` + flag(0)); err != nil {
		t.Fatal(err)
	}
	after := draw("f")
	near("on at 50 %", len(after), .5)
	for i := range before {
		if !after[i] {
			t.Fatalf("user %d lost its variant when the share grew", i)
		}
	}
	if n := len(draw("g")); n != 0 {
		t.Errorf("%d users at 0 %%", n)
	}
	if err := p.set(`"f": ` + flag(100)); err != nil {
		t.Fatal(err)
	}
	if n := len(draw("f")); n != users {
		t.Errorf("%d users at 100 %%", n)
	}
}

func TestWrongFlagsAreRefusedAndTheOldOnesStay(t *testing.T) {
	const good = `"f": {"variants": {"on": true, "off": false}, "default": "on"}`
	for what, bad := range map[string]string{
		"a default that is none":      `"f": {"variants": {"on": true}, "default": "off"}`,
		"no default":                  `"f": {"variants": {"on": true}}`,
		"no variants":                 `"f": {"variants": {}, "default": "on"}`,
		"variants of two types":       `"f": {"variants": {"on": true, "off": "no"}, "default": "on"}`,
		"a rule's variant is none":    `"f": {"variants": {"on": true}, "default": "on", "rules": [{"variant": "off"}]}`,
		"a rule that says nothing":    `"f": {"variants": {"on": true}, "default": "on", "rules": [{"match": {"a": 1}}]}`,
		"a rule that says both":       `"f": {"variants": {"on": true}, "default": "on", "rules": [{"variant": "on", "split": {"on": 1}}]}`,
		"a split's variant is none":   `"f": {"variants": {"on": true}, "default": "on", "rules": [{"split": {"off": 1}}]}`,
		"a share below 0":             `"f": {"variants": {"on": true}, "default": "on", "rules": [{"split": {"on": -0.1}}]}`,
		"a share above 100":           `"f": {"variants": {"on": true}, "default": "on", "rules": [{"split": {"on": 100.1}}]}`,
		"shares above 100 together":   `"f": {"variants": {"a": 1, "b": 2}, "default": "a", "rules": [{"split": {"a": 60, "b": 41}}]}`,
		"a match that is no object":   `"f": {"variants": {"on": true}, "default": "on", "rules": [{"match": 1, "variant": "on"}]}`,
		"a name that is not known":    `"f": {"variants": {"on": true}, "default": "on", "rules": [{"matches": {"a": 1}, "variant": "on"}]}`,
		"one good and one wrong flag": good + `, "g": {"variants": {}, "default": ""}`,
	} {
		t.Run(what, func(t *testing.T) {
			p := start(t, good)
			if err := p.set(bad); !errors.Is(err, config.ErrDenied) || !strings.Contains(err.Error(), "flag \"") {
				t.Errorf("a change to it: %v, want refused, with the flag's key", err)
			}
			if v, _, err := evaluate(p.client, "f", false, of.EvaluationContext{}); v != true || err != nil {
				t.Errorf("after it: %v, %v", v, err)
			}
			cfg, err := config.New(config.WithSource(config.Memory("m", document(t, bad))))
			if err != nil {
				t.Fatal(err)
			}
			defer cfg.Close()
			fresh, err := openfeature.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.Init(of.EvaluationContext{}); err == nil || !strings.Contains(err.Error(), "flag \"") {
				t.Errorf("Init: %v", err)
			}
			if d := fresh.BooleanEvaluation(t.Context(), "f", true, nil); !d.Value || !strings.Contains(d.Error().Error(), string(of.ProviderNotReadyCode)) {
				t.Errorf("without Init: %+v", d)
			}
		})
	}
}

func TestChangesAreEvents(t *testing.T) {
	p := start(t, `"same": 1, "other": 1, "gone": 1`)
	changes := make(chan []string, 10)
	handler := func(d of.EventDetails) { changes <- d.FlagChanges }
	p.client.AddHandler(of.ProviderConfigChange, &handler)
	defer p.client.RemoveHandler(of.ProviderConfigChange, &handler)
	if err := p.set(`"same": 1, "other": 2, "new": 1`); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-changes:
		if want := []string{"gone", "new", "other"}; !slices.Equal(got, want) {
			t.Errorf("changed %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
	}
}

func TestShutdownEndsItAndInitBeginsAgain(t *testing.T) {
	p := start(t, `"f": 1`)
	p.provider.Shutdown()
	p.provider.Shutdown()
	if err := p.set(`"f": 2`); err != nil {
		t.Fatal(err)
	}
	if d := p.provider.IntEvaluation(t.Context(), "f", 7, nil); d.Value != 7 || !strings.Contains(d.Error().Error(), string(of.ProviderNotReadyCode)) {
		t.Errorf("after Shutdown: %+v", d)
	}
	for range 2 {
		if err := p.provider.Init(of.EvaluationContext{}); err != nil {
			t.Fatal(err)
		}
	}
	if d := p.provider.IntEvaluation(t.Context(), "f", 7, nil); d.Value != 2 {
		t.Errorf("after Init: %+v", d)
	}
}

func TestEvaluationsWhileFlagsChange(t *testing.T) {
	flags := func(n int) string { return fmt.Sprintf(`"a": %d, "b": %d`, n, n) }
	p := start(t, flags(0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := int64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				d := p.provider.IntEvaluation(context.Background(), "a", -1, nil)
				if d.Value < last {
					t.Errorf("%d after %d", d.Value, last)
					return
				}
				last = d.Value
			}
		})
	}
	for n := range 100 {
		if err := p.set(flags(n)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestNewRefusesNothing(t *testing.T) {
	if _, err := openfeature.New(nil); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("nil configuration: %v", err)
	}
	cfg, err := config.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	if _, err := openfeature.New(cfg, nil); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("nil option: %v", err)
	}
	for _, stream := range []event.Stream{nil, (*flaky)(nil)} {
		if _, err := openfeature.NewExposures(stream); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("nil stream %#v: %v", stream, err)
		}
	}
}

func TestSpansHoldEvaluations(t *testing.T) {
	p := start(t, scenarios)
	p.client.AddHooks(openfeature.Spans())
	m := trace.NewStore(10, time.Hour)
	tracer, err := trace.New(trace.Memory(m))
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close(context.Background())
	ctx, span := tracer.Start(t.Context(), "request")
	p.client.BooleanValue(ctx, "boolean-flag", false, of.NewEvaluationContext("ann", nil))
	p.client.IntValue(ctx, "wrong-flag", 1, of.NewEvaluationContext("ann", nil))
	span.End()
	p.client.BooleanValue(t.Context(), "boolean-flag", false, of.NewEvaluationContext("ann", nil)) // no span: nothing
	if err := tracer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := m.Search(t.Context(), trace.Query{})
	if err != nil || len(page.Traces) != 1 {
		t.Fatalf("%d traces, %v", len(page.Traces), err)
	}
	var got []string
	for _, s := range page.Traces[0].Spans {
		for _, e := range s.Events {
			line := e.Name
			for _, tag := range e.Tags {
				line += " " + tag.String()
			}
			got = append(got, line)
		}
	}
	want := []string{
		"feature_flag.evaluation feature_flag.key=boolean-flag feature_flag.provider.name=go-platform feature_flag.result.variant=on feature_flag.result.reason=static feature_flag.context.id=ann",
		"feature_flag.evaluation feature_flag.key=wrong-flag feature_flag.provider.name=go-platform feature_flag.result.reason=error feature_flag.context.id=ann error.type=type_mismatch",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// flaky refuses the first calls, and takes one record of the next.
type flaky struct {
	event.Stream
	mu    sync.Mutex
	calls int
}

func (s *flaky) Publish(ctx context.Context, records ...*event.Record) error {
	s.mu.Lock()
	s.calls++
	n := s.calls
	s.mu.Unlock()
	switch {
	case n == 1:
		return event.ErrUnavailable
	case n == 2 && len(records) > 1:
		err := s.Stream.Publish(ctx, records[0])
		return errors.Join(event.ErrUnavailable, &event.PublishError{Published: 1, Err: err})
	}
	return s.Stream.Publish(ctx, records...)
}

func TestExposuresArePublishedOnceAndSurviveAnOutage(t *testing.T) {
	p := start(t, scenarios+`, "plain": true`)
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	e, err := openfeature.NewExposures(&flaky{Stream: stream})
	if err != nil {
		t.Fatal(err)
	}
	p.client.AddHooks(e)
	for range 3 {
		for _, user := range []string{"ann", "ben", ""} {
			with := of.NewEvaluationContext(user, nil)
			p.client.BooleanValue(t.Context(), "boolean-flag", false, with)
			p.client.StringValue(t.Context(), "string-flag", "", with)
			p.client.BooleanValue(t.Context(), "plain", false, with)  // has no variants
			p.client.BooleanValue(t.Context(), "absent", false, with) // an error
		}
	}
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.client.BooleanValue(t.Context(), "boolean-flag", false, of.NewEvaluationContext("late", nil))
	got := map[string]int{}
	for r, err := range stream.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		var x openfeature.Exposure
		if err := json.Unmarshal(r.Data, &x); err != nil || r.Type != openfeature.ExposureType || r.Subject != x.Flag || x.Time.IsZero() {
			t.Errorf("%+v: %v", r, err)
		}
		got[x.Flag+" "+x.Variant+" "+x.Target+" "+x.Reason]++
	}
	want := map[string]int{
		"boolean-flag on ann static": 1, "boolean-flag on ben static": 1,
		"string-flag greeting ann static": 1, "string-flag greeting ben static": 1,
	}
	if !maps.Equal(got, want) || e.Dropped() != 0 {
		t.Errorf("published %v, %d dropped; want %v", got, e.Dropped(), want)
	}
}

// down never takes anything.
type down struct{ event.Stream }

func (down) Publish(context.Context, ...*event.Record) error { return event.ErrUnavailable }

func TestExposuresNeverBlockAnEvaluation(t *testing.T) {
	p := start(t, scenarios)
	e, err := openfeature.NewExposures(down{})
	if err != nil {
		t.Fatal(err)
	}
	p.client.AddHooks(e)
	for i := range 6000 {
		p.client.BooleanValue(t.Context(), "boolean-flag", false, of.NewEvaluationContext(fmt.Sprint(i), nil))
	}
	if n := e.Dropped(); n < 1000 || n > 6000-4096 {
		t.Errorf("%d dropped, want what the queue has no room for", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if n := e.Dropped(); n != 6000 {
		t.Errorf("%d dropped after Close, want all", n)
	}
}

// hot panics at the first call.
type hot struct {
	event.Stream
	calls atomic.Int32
}

func (s *hot) Publish(ctx context.Context, records ...*event.Record) error {
	if s.calls.Add(1) == 1 {
		panic("no stream")
	}
	return s.Stream.Publish(ctx, records...)
}

// What a stream panics at is dropped, and the rest is published.
func TestExposuresOutliveAPanicOfTheStream(t *testing.T) {
	p := start(t, scenarios)
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	s := &hot{Stream: stream}
	e, err := openfeature.NewExposures(s)
	if err != nil {
		t.Fatal(err)
	}
	p.client.AddHooks(e)
	for _, user := range []string{"ann", "ben"} {
		p.client.BooleanValue(t.Context(), "boolean-flag", false, of.NewEvaluationContext(user, nil))
		for end := time.Now().Add(time.Minute); e.Dropped() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing was dropped")
			}
		}
	}
	if err := e.Close(t.Context()); err != nil || e.Dropped() != 1 || s.calls.Load() != 2 {
		t.Errorf("%v, %d dropped in %d calls, want the first of two", err, e.Dropped(), s.calls.Load())
	}
}
