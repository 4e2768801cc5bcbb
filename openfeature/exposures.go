package openfeature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	of "github.com/open-feature/go-sdk/openfeature"
)

// ExposureType is the type of the records that Exposures publishes.
const ExposureType = "feature_flag.exposure"

// Exposure is the Data of such a record, as JSON. Its Subject is the flag's key.
type Exposure struct {
	Flag    string    `json:"flag"`
	Variant string    `json:"variant"`
	Target  string    `json:"target"` // the targeting key
	Reason  string    `json:"reason"` // "targeting_match", "split", …
	Time    time.Time `json:"time"`
}

// Exposures is a hook that publishes which targeting key got which variant. What was
// published is not published again for a while; evaluations without a targeting
// key or a variant are not published. No evaluation waits for the stream: what
// does not fit in the queue is dropped and counted.
//
//	exposures, err := openfeature.NewExposures(stream)
//	of.AddHooks(exposures)
type Exposures struct {
	of.UnimplementedHook
	stream event.Stream

	mu         sync.Mutex
	now, older map[seen]bool // of this hour, and of the one before
	since      time.Time
	dropped    int64
	closed     bool

	queue chan *event.Record
	stop  context.CancelFunc // of a publish that waits, when Close's context ends
	ended chan struct{}
}

type seen struct{ flag, variant, target string }

const (
	again  = time.Hour // after which an exposure is published again, within two
	most   = 50_000    // exposures that are remembered, twice
	queued = 4096
	batch  = 256
)

// NewExposures makes the hook. Its error is config.ErrInvalid, for a nil stream.
func NewExposures(stream event.Stream) (*Exposures, error) {
	if fronts.Nil(stream) {
		return nil, fmt.Errorf("openfeature: %w: nil stream", config.ErrInvalid)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Exposures{stream: stream, now: map[seen]bool{}, since: time.Now(), queue: make(chan *event.Record, queued), stop: cancel, ended: make(chan struct{})}
	go e.run(ctx)
	return e, nil
}

// Finally implements OpenFeature's Hook.
func (e *Exposures) Finally(ctx context.Context, h of.HookContext, d of.InterfaceEvaluationDetails, _ of.HookHints) {
	target := h.EvaluationContext().TargetingKey()
	if d.Variant == "" || target == "" || d.ErrorCode != "" {
		return
	}
	now := time.Now()
	x := Exposure{Flag: h.FlagKey(), Variant: d.Variant, Target: target, Reason: strings.ToLower(string(d.Reason)), Time: now}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || !e.news(seen{x.Flag, x.Variant, x.Target}, now) {
		return
	}
	data, err := json.Marshal(x)
	if err != nil {
		e.dropped++
		return
	}
	select {
	case e.queue <- &event.Record{Type: ExposureType, Subject: x.Flag, Time: now, ContentType: "application/json", Data: data}:
	default:
		e.dropped++
		delete(e.now, seen{x.Flag, x.Variant, x.Target}) // the next one may fit
	}
}

// news reports whether an exposure was not published lately, and remembers it.
// Called with e.mu held.
func (e *Exposures) news(s seen, now time.Time) bool {
	if now.Sub(e.since) >= again || len(e.now) >= most {
		e.older, e.now, e.since = e.now, make(map[seen]bool), now
	}
	if e.now[s] || e.older[s] {
		return false
	}
	e.now[s] = true
	return true
}

// Dropped returns how many exposures were not published: the queue was full, or
// the stream refused them.
func (e *Exposures) Dropped() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

// Close publishes what waits. When ctx ends first, the rest is dropped, and the
// error is ctx's. It may be called again. The stream stays open.
func (e *Exposures) Close(ctx context.Context) error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.queue)
	}
	e.mu.Unlock()
	select {
	case <-e.ended:
		return nil
	case <-ctx.Done():
		e.stop()
		<-e.ended
		return ctx.Err()
	}
}

func (e *Exposures) run(ctx context.Context) {
	defer close(e.ended)
	defer e.stop()
	for first := range e.queue {
		records := append(make([]*event.Record, 0, batch), first)
		for len(records) < batch {
			select {
			case r, ok := <-e.queue:
				if ok {
					records = append(records, r)
					continue
				}
			default:
			}
			break
		}
		lost := e.publish(ctx, records)
		e.mu.Lock()
		e.dropped += int64(lost)
		e.mu.Unlock()
	}
}

// publish tries for as long as the stream is only unavailable, and the queue takes
// what comes meanwhile, and returns how many records the stream did not take.
// Records have ids, so that one that is published twice is seen to be.
func (e *Exposures) publish(ctx context.Context, records []*event.Record) (lost int) {
	for _, r := range records {
		r.ID = event.NewID()
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := fault.Guard(func() error { return e.stream.Publish(ctx, records...) })
		if part, ok := errors.AsType[*event.PublishError](err); ok {
			records = records[part.Published:]
		}
		switch {
		case err == nil:
			return 0
		case !errors.Is(err, event.ErrUnavailable) && !errors.Is(err, event.ErrUnknownOutcome):
			return len(records)
		}
		select {
		case <-ctx.Done():
			return len(records)
		case <-time.After(pause):
		}
	}
}
