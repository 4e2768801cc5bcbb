package log_test

import (
	"context"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/log"
)

// planned is an output behind a plan.
type planned struct {
	*log.Recorder
	p nth.Plan
}

func (d planned) Close() error                   { return d.p.Close(d.Recorder.Close) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Recorder.Ping) }

func (d planned) Write(ctx context.Context, b log.Batch) (int, error) {
	return nth.Send(ctx, d.p, "Write", func() (int, error) { return d.Recorder.Write(ctx, b) })
}

// Whatever call of the output fails, and however: the record is written all the
// same, or whoever waits for it hears that it is not yet.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: log.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
		var (
			mem = log.NewRecorder(100, log.JSON())
			l   log.Log
		)
		say := func(text string) func(context.Context) error {
			return func(ctx context.Context) error {
				l.Logger("").Info(text)
				err := l.Flush(ctx)
				if err != nil {
					l.Flush(context.WithoutCancel(ctx))
				}
				return err
			}
		}
		return nth.World{
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					l, err = log.New(log.WithDriver("planned", func(context.Context) (log.Driver, error) { p.Open(); return planned{mem, p}, nil }))
					return err
				}},
				{Name: "a record", Quiet: true, Do: say("one")},
				{Name: "another", Quiet: true, Do: say("two")},
				{Name: "close", Once: true, Do: func(ctx context.Context) error { return l.Close(context.WithoutCancel(ctx)) }},
			},
			State: func() string {
				text := ""
				for _, word := range []string{"one", "two"} {
					if strings.Contains(strings.Join(mem.Records(), ""), word) { // perhaps twice, when an answer was lost
						text += word + " "
					}
				}
				return text
			},
		}
	})
}
