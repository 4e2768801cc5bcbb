package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Store keeps an issuer's state. Its errors are fault kinds as kv's and db's
// are: errors.Is with ErrNotFound, ErrConflict.
//
//  1. A version is greater than 0 and different after each write.
//  2. Put writes only if the stored version equals the given one, 0 meaning
//     that there must be nothing, and says ErrConflict otherwise. Of any number
//     of concurrent writers with one version, one wins.
//  3. A record is gone after its time to live; 0 means no limit. A store may keep
//     it longer: the issuer checks times itself.
//  4. Who reads after a write sees it, from any process.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, version uint64, err error)
	Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error
	Delete(ctx context.Context, key string) error // a missing key: nil
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// The errors of a Store.
var (
	ErrNotFound = fault.Of("auth/issuer", fault.NotFound)
	ErrConflict = fault.Of("auth/issuer", fault.Conflict)
	ErrExists   = fault.Of("auth/issuer", fault.Exists)
)

// memory is the default Store.
type memory struct {
	mu     sync.Mutex
	m      map[string]record
	last   uint64
	writes int
	now    func() time.Time
}

type record struct {
	value   []byte
	version uint64
	expires time.Time
}

// Memory returns a Store in this process's memory.
func Memory() Store { return &memory{m: map[string]record{}, now: time.Now} }

func (s *memory) live(key string) (record, bool) {
	r, ok := s.m[key]
	if ok && !r.expires.IsZero() && !s.now().Before(r.expires) {
		delete(s.m, key)
		return record{}, false
	}
	return r, ok
}

func (s *memory) Get(_ context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(key)
	if !ok {
		return nil, 0, ErrNotFound
	}
	return slices.Clone(r.value), r.version, nil
}

func (s *memory) Put(_ context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, _ := s.live(key); r.version != version {
		return ErrConflict
	}
	s.writes++
	if s.writes > 1000+len(s.m)/2 { // amortised: records that nobody reads again must go too
		s.writes = 0
		for k := range s.m {
			s.live(k)
		}
	}
	s.last++
	r := record{value: slices.Clone(value), version: s.last}
	if ttl > 0 {
		r.expires = s.now().Add(ttl)
	}
	s.m[key] = r
	return nil
}

func (s *memory) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
	return nil
}

func (s *memory) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(s.m)) {
		if _, ok := s.live(k); ok && strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	return func(yield func(string, error) bool) {
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// encode returns a record or claims as JSON, which all that this package makes
// can be.
func encode(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// update reads a record, has change alter it, and writes it, again and again
// until nobody else wrote between. An error of change ends it.
func update[T any](ctx context.Context, s Store, key string, ttl time.Duration, change func(*T) error) error {
	for {
		old, version, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		var v T
		err = json.Unmarshal(old, &v)
		if err == nil {
			err = change(&v)
		}
		if err != nil {
			return err
		}
		if err := s.Put(ctx, key, encode(v), version, ttl); !errors.Is(err, fault.Conflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
