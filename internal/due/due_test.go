package due

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A queue does what a map does in which the first entry is searched for.
func TestQueueAgainstAMap(t *testing.T) {
	begin := time.Now()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		var q Queue[int]
		model := map[string]Entry[int]{}
		for step := range 500 {
			name := fmt.Sprint(r.IntN(30))
			switch r.IntN(3) {
			case 0:
				q.Remove(name)
				delete(model, name)
			default:
				at := begin.Add(time.Duration(r.IntN(100)) * time.Second)
				q.Set(name, at, step)
				model[name] = Entry[int]{name, at, step}
			}
			got, ok := q.Get(name)
			want, there := model[name]
			if got != want || ok != there || q.Len() != len(model) {
				t.Fatalf("seed %d, step %d: %s is %v, %t of %d, want %v, %t of %d", seed, step, name, got, ok, q.Len(), want, there, len(model))
			}
			first, ok := q.First()
			if ok != (len(model) > 0) || ok && first != model[first.Name] {
				t.Fatalf("seed %d, step %d: the first is %v, %t", seed, step, first, ok)
			}
			for _, e := range model {
				if e.At.Before(first.At) {
					t.Fatalf("seed %d, step %d: the first is %v, but %v is due before", seed, step, first, e)
				}
			}
		}
		for last := begin; q.Len() > 0; {
			first, _ := q.First()
			q.Remove(first.Name)
			if first.At.Before(last) || first != model[first.Name] {
				t.Fatalf("seed %d: %v after %v", seed, first, last)
			}
			delete(model, first.Name)
			last = first.At
		}
		if first, ok := q.First(); ok || len(model) > 0 {
			t.Fatalf("seed %d: empty, and the first is %v; %d are missing", seed, first, len(model))
		}
	}
}
