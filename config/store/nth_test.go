package store

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/nth"
)

// planned is a memory behind a plan.
type planned struct {
	*memory
	p nth.Plan
}

func (d planned) Close() error                   { return d.p.Close(d.memory.Close) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.memory.Ping) }

func (d planned) Append(ctx context.Context, r Record) error {
	return nth.Write(ctx, d.p, "Append", func() error { return d.memory.Append(ctx, r) })
}

func (d planned) Newest(ctx context.Context, ns string) (Record, error) {
	return nth.Read(ctx, d.p, "Newest", func() (Record, error) { return d.memory.Newest(ctx, ns) })
}

func (d planned) Read(ctx context.Context, ns string, n uint64) (Record, error) {
	return nth.Read(ctx, d.p, "Read", func() (Record, error) { return d.memory.Read(ctx, ns, n) })
}

func (d planned) History(ctx context.Context, ns string) iter.Seq2[Record, error] {
	seq, err := nth.Read(ctx, d.p, "History", func() (iter.Seq2[Record, error], error) { return d.memory.History(ctx, ns), nil })
	if err != nil {
		return func(yield func(Record, error) bool) { yield(Record{}, err) }
	}
	return seq
}

func (d planned) Namespaces(ctx context.Context) ([]string, error) {
	return nth.Read(ctx, d.p, "Namespaces", func() ([]string, error) { return d.memory.Namespaces(ctx) })
}

// Whatever call of the driver fails, and however: the store says so, what is
// stored is as before or as after, and the same again succeeds. A write whose
// answer is lost is looked up.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: ErrUnavailable, Unknown: ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		m := newMemory()
		var s Store
		write := func(f func(context.Context) (Version, error)) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := f(ctx)
				return err
			}
		}
		return nth.World{
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					s, err = New(WithDriver("planned", func(context.Context) (Driver, error) { p.Open(); return planned{m, p}, nil }))
					return err
				}},
				{Name: "put", Quiet: true, Do: write(func(ctx context.Context) (Version, error) { return s.Put(ctx, "a", map[string]any{"x": 1}) })},
				{Name: "set", Quiet: true, Do: write(func(ctx context.Context) (Version, error) { return s.Set(ctx, "a", "y", 2) })},
				{Name: "update", Quiet: true, Do: write(func(ctx context.Context) (Version, error) {
					return s.Update(ctx, "b/c", func([]byte) ([]byte, error) { return []byte(`{"z":3}`), nil })
				})},
				{Name: "get", Do: func(ctx context.Context) error {
					d, err := s.Get(ctx, "a")
					if err == nil && d.Get("y").Int(0) != 2 {
						err = fmt.Errorf("got %v", d)
					}
					return err
				}},
				{Name: "at", Do: func(ctx context.Context) error {
					_, err := s.At(ctx, "a", 1)
					return err
				}},
				{Name: "diff", Do: func(ctx context.Context) error {
					_, err := s.Diff(ctx, "a", 1, 2)
					return err
				}},
				{Name: "namespaces", Do: func(ctx context.Context) error {
					all, err := s.Namespaces(ctx)
					if err == nil && len(all) != 2 {
						err = fmt.Errorf("got %v", all)
					}
					return err
				}},
				{Name: "history", Do: func(ctx context.Context) error {
					for _, q := range []Query{{Namespace: "a"}, {}} {
						for _, err := range s.History(ctx, q) {
							if err != nil {
								return err
							}
						}
					}
					return nil
				}},
				{Name: "rollback", Quiet: true, Do: write(func(ctx context.Context) (Version, error) { return s.Rollback(ctx, "a", 1) })},
				{Name: "delete", Quiet: true, Again: []error{ErrNotFound}, Do: write(func(ctx context.Context) (Version, error) { return s.Delete(ctx, "a") })},
				{Name: "close", Once: true, Do: func(context.Context) error { return s.Close() }},
			},
			State: func() string {
				var all []string
				for ns, rs := range m.records {
					r := rs[len(rs)-1]
					all = append(all, fmt.Sprint(ns, string(r.Data), r.Deleted))
				}
				slices.Sort(all)
				return strings.Join(all, " ")
			},
		}
	})
}
