package metrics

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/outlet"
)

// exporter is one push driver with the loop that calls it.
type exporter struct {
	name     string
	driver   Driver
	sampler  int // its index among the drivers that take samples, or -1
	interval time.Duration
	timeout  time.Duration
	idle     time.Duration
	logger   *slog.Logger
	registry *registry

	turn chan struct{} // holds one token: whose export it is

	mu     sync.Mutex
	stats  ExporterStats
	good   time.Time // of the last snapshot that was exported without an error
	teller outlet.Teller

	changes map[uint64]change // by series; only with idle
}

// change is when a series last had another value.
type change struct {
	value float64
	count uint64
	at    time.Time
}

func newExporter(name string, d Driver, o *options, r *registry) *exporter {
	e := &exporter{
		name: name, driver: d, sampler: -1, interval: o.interval, timeout: o.timeout, idle: o.idle, logger: o.logger, registry: r,
		turn: make(chan struct{}, 1), changes: map[uint64]change{},
	}
	e.stats.Exporter = name
	return e
}

func (e *exporter) run(ctx context.Context) {
	ticker := time.NewTicker(e.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = e.export(ctx)
		}
	}
}

// export takes a snapshot and hands it to the driver.
func (e *exporter) export(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.turn }()
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	snap := e.registry.snapshot(e.sampler)
	if e.idle > 0 {
		e.dropIdle(&snap)
	}
	var sent Sent
	_, err := outlet.Try(func() (_ int, err error) {
		sent, err = e.driver.Export(limited, &snap)
		return 0, err
	})
	err = fault.Late(ctx, e.timeout, err)
	e.mu.Lock()
	e.stats.Exports++
	e.stats.Packets += sent.Packets
	e.stats.Bytes += sent.Bytes
	e.stats.Dropped += sent.Dropped
	e.stats.Sanitized += sent.Sanitized
	complain := false
	if err == nil {
		e.good = snap.Time
		e.teller.Well()
	} else {
		e.stats.Errors++
		ended := errors.Is(err, context.Canceled) // by Close, which is not what is wrong with the backend
		if !ended || e.stats.LastError == "" {
			e.stats.LastError = err.Error()
		}
		complain = !ended && e.teller.Worth(err.Error(), time.Now())
	}
	e.mu.Unlock()
	if complain {
		e.logger.Warn("metrics: export failed", "exporter", e.name, "error", err)
	}
	return err
}

// dropIdle leaves out of s the series that have not changed for a while.
func (e *exporter) dropIdle(s *Snapshot) {
	seen := make(map[uint64]bool, len(e.changes))
	for i := range s.Families {
		f := &s.Families[i]
		f.Series = slices.DeleteFunc(f.Series, func(one Series) bool {
			seen[one.ID] = true
			c, ok := e.changes[one.ID]
			if !ok || c.value != one.Value || c.count != one.Count {
				e.changes[one.ID] = change{one.Value, one.Count, s.Time}
				return false
			}
			return s.Time.Sub(c.at) >= e.idle
		})
	}
	maps.DeleteFunc(e.changes, func(id uint64, _ change) bool { return !seen[id] })
}

func (e *exporter) snapshotStats() ExporterStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}
