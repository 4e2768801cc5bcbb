package log

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/outlet"
)

// New returns a Log. Without an output among the options it writes JSON lines
// to stdout. Each output has to open within WithDialTimeout, else the error is
// ErrUnavailable and names it; WithLazy starts without asking.
func New(opts ...Option) (Log, error) {
	o := defaults()
	if err := fronts.New("log", &o, opts); err != nil {
		return nil, err
	}
	if len(o.outputs) == 0 {
		if err := ToStdout(JSON())(&o); err != nil {
			return nil, err
		}
	}
	f := &front{perRecord: o.perRecord, waitAt: min(o.syncAt, o.localAt), group: outlet.NewGroup("log", "records")}
	if len(o.redact) > 0 {
		f.redact = newRedaction(o.redact)
	}
	f.asIs = f.replace == nil && f.redact == nil
	for _, one := range o.outputs {
		out, err := open(one, &o)
		if err != nil {
			for _, other := range f.outputs {
				_ = other.driver.Close()
			}
			return nil, err
		}
		f.add(out)
	}
	floor := slog.Level(math.MaxInt32)
	for _, e := range f.encodings {
		floor = min(floor, e.least)
	}
	f.levels = newLevels(o.levels, floor)
	for _, out := range f.outputs {
		out.Start()
	}
	return f, nil
}

func open(one *outputOptions, o *options) (*output, error) {
	driver, err := fronts.Open("log/"+one.name, o.dial, o.lazy, func(ctx context.Context) (Driver, error) {
		d, err := one.open(ctx)
		if fault.KindOf(err) == nil {
			err = fault.Mark(ErrUnavailable, err) // a file or a directory, which may come
		}
		if err == nil && !fronts.Nil(d) && fronts.Nil(d.Encoding()) {
			_ = d.Close()
			return nil, fault.Markf(ErrInvalid, "a driver without an encoding")
		}
		return d, err
	}, nil)
	if err != nil {
		return nil, err
	}
	return newOutput(one, driver, o.errors), nil
}

// front is the Log in front of every driver.
type front struct {
	perRecord
	outputs   []*output
	encodings []shared
	needTrees bool
	levels    *levels
	redact    *redaction
	asIs      bool       // neither replace nor redact
	waitAt    slog.Level // the lower of syncAt and localAt

	group *outlet.Group
}

// shared is one encoding with the outputs that it is for.
type shared struct {
	enc     Encoding
	inc     incremental // enc, if it is one of this package's
	least   slog.Level
	outputs []*output
}

// refuse counts a record that can't be encoded.
func (s *shared) refuse(l slog.Level, why error) {
	for _, o := range s.outputs {
		if l >= o.least {
			o.Refuse(why)
		}
	}
}

func (f *front) add(o *output) {
	f.outputs = append(f.outputs, o)
	f.group.Members = append(f.group.Members, o)
	inc, _ := o.encoding.(incremental)
	if inc == nil || f.dedup {
		f.needTrees = true
	}
	for i := range f.encodings {
		if e := &f.encodings[i]; e.enc.Name() == o.encoding.Name() {
			e.outputs = append(e.outputs, o)
			e.least = min(e.least, o.least)
			return
		}
	}
	f.encodings = append(f.encodings, shared{enc: o.encoding, inc: inc, least: o.least, outputs: []*output{o}})
}

func (f *front) Logger(name string, attrs ...slog.Attr) *slog.Logger {
	var h slog.Handler = &handler{front: f, name: name, rule: f.levels.rule(name), pre: make([]prefix, len(f.encodings))}
	return slog.New(h.WithAttrs(attrs))
}

func (f *front) Handler() slog.Handler { return f.Logger("").Handler() }

func (f *front) SetLevel(name string, l slog.Level, revertAfter time.Duration) {
	f.levels.change(name, l, revertAfter, math.MaxInt)
}

func (f *front) Levels() map[string]slog.Level { return f.levels.all() }
func (f *front) LevelHandler() http.Handler    { return f.levels }

func (f *front) Stats() []OutputStats {
	all := make([]OutputStats, len(f.outputs))
	for i, o := range f.outputs {
		all[i] = o.stats()
	}
	return all
}

// syncWait bounds how long a call waits for its record to be written.
const syncWait = time.Second

// sync waits until the outputs that a record of level l is worth waiting for
// have written what was logged, but not for long.
func (f *front) sync(l slog.Level) {
	var timer *time.Timer
	for _, o := range f.outputs {
		if l < o.least || l < f.syncAt && !(o.local && l >= f.localAt) || o.stuck.Load() == o.Progress()+1 {
			continue
		}
		done := o.Drained()
		select {
		case <-done: // mostly, where the level is that of an audit log
			continue
		default:
		}
		if timer == nil {
			timer = time.NewTimer(syncWait)
		}
		select {
		case <-done:
		case <-timer.C:
			o.stuck.Store(o.Progress() + 1)
			timer.Reset(0) // for the outputs behind it
		}
	}
}

func (f *front) Flush(ctx context.Context) error { return f.group.Flush(ctx) }

func (f *front) Close(ctx context.Context) error {
	f.levels.close()
	return f.group.Close(ctx)
}
