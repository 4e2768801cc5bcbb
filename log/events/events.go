package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/log"
)

// Publisher is what of event.Stream is needed.
type Publisher interface {
	Publish(ctx context.Context, records ...*event.Record) error
}

// Backend publishes to s, as source; without one that is the machine's name.
func Backend(s Publisher, source string) log.Option {
	return log.WithDriver("events", func(context.Context) (log.Driver, error) {
		if fronts.Nil(s) {
			return nil, fault.Markf(fault.Invalid, "nil stream")
		}
		if source == "" {
			source, _ = os.Hostname()
		}
		return &driver{stream: s, source: source}, nil
	})
}

type driver struct {
	stream Publisher
	source string
	ids    []string // of records that may be published already
}

func (d *driver) Encoding() log.Encoding     { return log.JSON() }
func (d *driver) Ping(context.Context) error { return nil }
func (d *driver) Close() error               { return nil }

// perPublish is how many records are published at once.
const perPublish = 128

func (d *driver) Write(ctx context.Context, b log.Batch) (int, error) {
	for done := 0; done < b.Len(); {
		n := min(perPublish, b.Len()-done)
		for len(d.ids) < n { // those that were tried come first
			d.ids = append(d.ids, event.NewID())
		}
		records := make([]*event.Record, n)
		for i := range records {
			records[i] = d.record(b.Record(done+i), d.ids[i])
		}
		if err := d.stream.Publish(ctx, records...); err != nil {
			if errors.Is(err, event.ErrInvalid) || errors.Is(err, event.ErrTooLarge) {
				if n > 1 { // find which one
					return d.oneByOne(ctx, b, done, n)
				}
				d.ids = nil
			}
			return done, err
		}
		d.ids = d.ids[n:]
		done += n
	}
	return b.Len(), nil
}

// oneByOne publishes n records alone until one fails.
func (d *driver) oneByOne(ctx context.Context, b log.Batch, done, n int) (int, error) {
	for range n {
		if err := d.stream.Publish(ctx, d.record(b.Record(done), d.ids[0])); err != nil {
			if errors.Is(err, event.ErrInvalid) || errors.Is(err, event.ErrTooLarge) {
				d.ids = d.ids[1:]
			}
			return done, err
		}
		d.ids = d.ids[1:]
		done++
	}
	return done, nil
}

func (d *driver) record(line []byte, id string) *event.Record {
	var fields map[string]json.RawMessage // exact keys, where a struct's would match any case
	_ = json.Unmarshal(line, &fields)     // it is ours
	var level, logger string
	var at time.Time
	_ = json.Unmarshal(fields["level"], &level)
	_ = json.Unmarshal(fields["logger"], &logger)
	_ = json.Unmarshal(fields["time"], &at)
	return &event.Record{
		ID: id, Type: "log." + strings.ToLower(level), Source: d.source, Subject: logger, Time: at,
		ContentType: "application/json", Data: bytes.Clone(line[:len(line)-1]),
	}
}
