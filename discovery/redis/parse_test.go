package redis

import (
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
)

func TestParseLeavesOutWhatIsNotOurs(t *testing.T) {
	a, err := parse([]any{
		int64(1000), []any{"a", "1500", "b", "1200", "c", "x", "d", "1100"},
		[]any{`{"id":"a","address":"h:1"}`, `{"id":"other"}`, `{"id":"c"}`, `not JSON`}, []any{"gone", int64(3)}, []any{"late", "gone", 2},
	})
	if err != nil || len(a.Instances) != 1 || a.Instances[0].ID != "a" || a.next != 501*time.Millisecond {
		t.Errorf("got %+v, next %v, %v", a.Instances, a.next, err)
	}
	for id, want := range map[string]discovery.Fate{"gone": discovery.Deregistered, "late": discovery.Expired, "b": discovery.Lost} {
		if got := a.Fate(id); got != want {
			t.Errorf("fate of %s: %v, want %v", id, got, want)
		}
	}
	for _, raw := range []any{nil, "x", []any{}, []any{int64(1), []any{"a"}, []any{}, nil, nil}, []any{"1", nil, nil, nil, nil}, []any{int64(1), nil, nil, nil}} {
		if _, err := parse(raw); err == nil {
			t.Errorf("%v is taken for an answer", raw)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(int64(5), "a", "6", `{"id":"a"}`, "b")
	f.Fuzz(func(t *testing.T, now int64, id, score, value, gone string) {
		a, err := parse([]any{now, []any{id, score}, []any{value}, []any{gone}, []any{gone}})
		if err == nil && len(a.Instances) == 1 && a.Instances[0].ID != id {
			t.Errorf("id %q became %q", id, a.Instances[0].ID)
		}
	})
}
