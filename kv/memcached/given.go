package memcached

import (
	"context"
	"errors"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fault"
)

// given makes round trips through a client that the user brought.
type given struct{ c *memcache.Client }

func (given) MaxItem() int { return 0 }

// Do sends reads together and writes one by one.
func (g given) Do(_ context.Context, ops []*memcached.Op) {
	reads := map[string][]*memcached.Op{}
	var keys []string
	for _, op := range ops {
		if op.Verb != memcached.Get {
			g.write(op)
			continue
		}
		if reads[op.Key] == nil {
			keys = append(keys, op.Key)
		}
		reads[op.Key] = append(reads[op.Key], op)
	}
	if len(keys) == 0 {
		return
	}
	items := map[string]*memcache.Item{}
	var err error
	if len(keys) == 1 {
		var item *memcache.Item
		item, err = g.c.Get(keys[0])
		if err == nil {
			items[keys[0]] = item
		}
	} else {
		items, err = g.c.GetMulti(keys)
	}
	for key, ops := range reads {
		for i, op := range ops {
			item := items[key]
			switch {
			case item != nil:
				op.Done, op.Flags, op.CAS, op.Value = true, item.Flags, item.CasID, item.Value
				if i > 0 {
					op.Value = append([]byte{}, item.Value...)
				}
			case err != nil:
				op.Err = errorOf(err)
			}
		}
	}
}

func (g given) write(op *memcached.Op) {
	item := &memcache.Item{Key: op.Key, Value: op.Value, Flags: op.Flags, Expiration: int32(op.Exptime), CasID: op.CAS}
	var err error
	switch op.Verb {
	case memcached.Set:
		err = g.c.Set(item)
	case memcached.Add:
		err = g.c.Add(item)
	case memcached.CompareAndSwap:
		err = g.c.CompareAndSwap(item)
	case memcached.Delete:
		err = g.c.Delete(op.Key)
	}
	switch {
	case err == nil:
		op.Done = true
	case errors.Is(err, memcache.ErrNotStored), errors.Is(err, memcache.ErrCacheMiss):
	case errors.Is(err, memcache.ErrCASConflict):
		op.Changed = true
	default:
		op.Err = errorOf(err)
	}
}

// errorOf gives an error of the client its kind, as memcached.Op has them.
func errorOf(err error) error {
	_, undialed := errors.AsType[*memcache.ConnectTimeoutError](err)
	switch {
	case errors.Is(err, memcache.ErrCacheMiss):
		return nil
	case undialed, errors.Is(err, memcache.ErrNoServers), strings.Contains(err.Error(), "dial "):
		return fault.Mark(fault.Unavailable, err)
	case strings.Contains(err.Error(), "object too large"):
		return fault.Mark(fault.TooLarge, err)
	case errors.Is(err, memcache.ErrMalformedKey):
		return fault.Mark(fault.Invalid, err)
	}
	return errors.Join(memcached.ErrLost, err)
}
