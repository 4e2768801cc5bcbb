package otlp_test

import (
	"strings"
	"testing"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
)

// A span of a kind that there is not is an internal one, and takes no others with it.
func TestAnUnknownKindIsInternal(t *testing.T) {
	s := newServer(t, nil)
	tr, err := trace.New(otlp.Backend(s.URL, engineotlp.WithJSON()))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []trace.Kind{trace.Internal, trace.Consumer, trace.Consumer + 1, 255} {
		_, span := tr.Start(t.Context(), "x", trace.OfKind(k))
		span.End()
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := string(s.bodies[0])
	if strings.Count(got, `"kind":1,`) != 3 || strings.Count(got, `"kind":5,`) != 1 {
		t.Errorf("%s, want three internal spans and a consumer's", got)
	}
}
