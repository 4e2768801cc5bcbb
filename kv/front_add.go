package kv

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/decimal"
	"github.com/micro/go-platform/internal/fault"
)

func (f *front) Add(ctx context.Context, key string, delta int64, opts ...PutOption) (int64, error) {
	start := f.now()
	sum, err := f.add(ctx, key, delta, opts)
	if err != nil || f.observe != nil {
		err = f.done("add", key, 1, start, err)
	}
	return sum, err
}

func (f *front) add(ctx context.Context, key string, delta int64, opts []PutOption) (int64, error) {
	w, err := f.write(key, nil, opts)
	if err != nil {
		return 0, err
	}
	if w.IfAbsent || w.conditional {
		return 0, invalidf("Add takes no option but TTL")
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer b.end()
	var sum int64
	if c, ok := f.driver.(counterDriver); ok && f.features.Counter {
		sum, err = c.Add(ctx, w.Key, delta, w.TTL)
	} else {
		sum, err = f.addLoop(ctx, w, delta)
	}
	return sum, b.late(err)
}

// addLoop is Add for a backend that cannot: read, and write if unchanged.
func (f *front) addLoop(ctx context.Context, w Write, delta int64) (int64, error) {
	wait := backoff.Policy{Min: time.Millisecond, Max: 50 * time.Millisecond}
	for tries := 0; ; tries++ {
		item, err := getExpiring(ctx, f.driver, w.Key)
		next := Write{Key: w.Key, TTL: w.TTL}
		var sum int64
		switch {
		case errors.Is(err, fault.NotFound):
			next.IfAbsent, sum = true, delta
		case err != nil:
			return 0, err
		default:
			sum, err = addTo(item.Value, delta)
			if err != nil {
				return 0, err
			}
			next.IfRevision, next.TTL = item.Revision, 0
			if !item.Expires.IsZero() {
				next.TTL = max(time.Until(item.Expires), time.Millisecond)
			}
		}
		next.Value = strconv.AppendInt(nil, sum, 10)
		_, err = f.driver.Put(ctx, next)
		if err == nil {
			return sum, nil
		}
		if !isKind(err, fault.Conflict, fault.Exists) {
			return 0, err
		}
		if err := backoff.Sleep(ctx, wait.Wait(tries)); err != nil {
			return 0, err
		}
	}
}

// addTo returns the sum of a stored number and delta.
func addTo(value []byte, delta int64) (int64, error) {
	sum, err := decimal.Add(value, delta)
	return sum, fault.Mark(ErrInvalid, err)
}
