package redis

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// member is one consumer of a group.
type member struct {
	d      *driver
	g      event.GroupConfig
	lease  *lease // of an exclusive group
	waiter waiter

	// Used by Fetch only.
	own       bool              // what this consumer had before a restart has been read
	ownFrom   string            // up to here
	claimed   time.Time         // when the last look for others' leftovers was complete
	claimFrom string            // where it goes on
	ds        []event.Delivered // that were returned last
	last      string            // of an exclusive group: the last that was returned in this turn
	unsure    bool              // a fetch failed that may have handed out what comes after it
	turn      int64             // of the lease, in which everything pending was claimed
	claiming  int64             // the turn in which it is being claimed
	reaped    time.Time         // when dead consumers were last looked for
}

func (m *member) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ds, err := m.fetch(ctx, limit)
		if isAnswer(err, "NOGROUP") {
			err = m.remake(ctx)
		}
		if err != nil || len(ds) > 0 {
			return ds, err
		}
	}
}

// fetch is one round; it may return nothing.
func (m *member) fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	wait := block
	if m.lease != nil {
		turn, pause, err := m.lease.take(ctx)
		if err != nil {
			return nil, err
		}
		if turn == 0 {
			return nil, backoff.Sleep(ctx, pause)
		}
		if m.turn != turn { // everything that others left, whenever they had it
			if m.claiming != turn { // the one before may have ended half way
				m.claiming, m.claimFrom, m.last, m.unsure = turn, beforeAll, beforeAll, false
			}
			ds, done, err := m.claim(ctx, limit, 0)
			if err != nil {
				return nil, err
			}
			if done {
				m.turn = turn
			}
			if len(ds) > 0 {
				m.last = ds[len(ds)-1].Position
				return ds, nil
			}
			if !done {
				return nil, nil
			}
		}
		if m.unsure { // what was handed out and never arrived goes before anything newer
			ds, err := m.read(ctx, limit, -1, m.last)
			if err == nil {
				err = m.count(ctx, ds)
			}
			if err != nil {
				return nil, err
			}
			if len(ds) > 0 {
				m.last = ds[len(ds)-1].Position
				return ds, nil
			}
			m.unsure = false
		}
		wait = min(wait, max(m.g.AckWait/4, time.Millisecond))
	} else {
		if ds, err := m.leftovers(ctx, limit); err != nil || len(ds) > 0 {
			return ds, err
		}
		wait = min(wait, m.every())
	}
	if err := m.reap(ctx); err != nil {
		return nil, err
	}
	ds, err := m.fresh(ctx, limit, wait)
	if m.unsure = err != nil; len(ds) > 0 {
		m.last = ds[len(ds)-1].Position
	}
	return ds, err
}

// every is how often a member looks for what dead ones left.
func (m *member) every() time.Duration {
	return min(max(m.g.AckWait/4, 5*time.Millisecond), time.Second)
}

// leftovers returns what this consumer had before a restart, then what others
// had and show no life for.
func (m *member) leftovers(ctx context.Context, limit int) ([]event.Delivered, error) {
	if !m.own {
		if m.ownFrom == "" {
			m.ownFrom = beforeAll
		}
		ds, err := m.read(ctx, limit, -1, m.ownFrom)
		if err != nil {
			return nil, err
		}
		if len(ds) == 0 {
			m.own = true
		} else {
			if err := m.count(ctx, ds); err != nil {
				return nil, err
			}
			m.ownFrom = ds[len(ds)-1].Position
			return ds, nil
		}
	}
	if m.claimFrom == beforeAll && time.Since(m.claimed) < m.every() {
		return nil, nil
	}
	ds, done, err := m.claim(ctx, limit, m.g.AckWait)
	if done {
		m.claimed = time.Now()
	}
	return ds, err
}

// claim takes over what was handed out and idle for a while. done means that
// all of it was looked at.
func (m *member) claim(ctx context.Context, limit int, idle time.Duration) (ds []event.Delivered, done bool, err error) {
	type page struct {
		entries []goredis.XMessage
		next    string
	}
	p, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (p page, err error) {
		p.entries, p.next, err = m.d.client.XAutoClaim(ctx, &goredis.XAutoClaimArgs{
			Stream: m.d.key, Group: m.g.Name, Consumer: m.g.Consumer, MinIdle: idle, Start: m.claimFrom, Count: int64(limit),
		}).Result()
		return p, err
	})
	if err != nil {
		return nil, false, m.readError(err)
	}
	ds = m.delivered(p.entries)
	if err := m.count(ctx, ds); err != nil {
		return nil, false, err // and again from where it began
	}
	m.claimFrom = p.next
	return ds, p.next == beforeAll, nil
}

// count asks how often deliveries were handed out.
func (m *member) count(ctx context.Context, ds []event.Delivered) error {
	if len(ds) == 0 {
		return nil
	}
	pending, err := redis.Do(ctx, m.d.client, func(ctx context.Context) ([]goredis.XPendingExt, error) {
		return m.d.client.XPendingExt(ctx, &goredis.XPendingExtArgs{
			Stream: m.d.key, Group: m.g.Name, Consumer: m.g.Consumer,
			Start: ds[0].Position, End: ds[len(ds)-1].Position, Count: int64(len(ds)) * 4,
		}).Result()
	})
	if err != nil {
		return m.readError(err)
	}
	times := make(map[string]int, len(pending))
	for _, p := range pending {
		times[p.ID] = int(p.RetryCount)
	}
	for i := range ds {
		ds[i].Attempt = max(times[ds[i].Position], 1)
	}
	return nil
}

// fresh returns what nobody was handed before, waiting for it.
func (m *member) fresh(ctx context.Context, limit int, wait time.Duration) ([]event.Delivered, error) {
	return m.read(ctx, limit, max(wait, time.Millisecond), ">")
}

func (m *member) read(ctx context.Context, limit int, wait time.Duration, from string) (ds []event.Delivered, err error) {
	var entries []goredis.XMessage
	var failed error
	_, err = m.waiter.do(ctx, max(wait, 0), func(ctx context.Context, c goredis.Cmdable) (int, error) {
		streams, err := c.XReadGroup(ctx, &goredis.XReadGroupArgs{
			Group: m.g.Name, Consumer: m.g.Consumer, Streams: []string{m.d.key, from}, Count: int64(limit), Block: wait,
		}).Result()
		if isAnswer(err, "NOGROUP") {
			failed = err
			return 0, nil
		}
		if len(streams) > 0 {
			entries = streams[0].Messages
		}
		return len(entries), err
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return m.delivered(entries), nil
}

// delivered may use the slice that it returned before.
func (m *member) delivered(entries []goredis.XMessage) []event.Delivered {
	clear(m.ds)
	m.ds = slices.Grow(m.ds[:0], len(entries))[:len(entries)]
	ds := m.ds
	for i, e := range entries {
		d := &ds[i]
		d.Attempt, d.Position = 1, e.ID
		if e.Values == nil { // in the list of pending entries, and gone from the stream
			d.Record, d.Err = &event.Record{Position: e.ID}, errGone
		} else if s, ok := e.Values[fieldRecord].(string); ok {
			d.Encoded = s
		} else {
			d.Record, d.Err = decode(e)
		}
	}
	return ds
}

var errGone = fault.Markf(fault.NotFound, "the entry was removed before it was handled")

func (m *member) readError(err error) error {
	if isAnswer(err, "NOGROUP") {
		return err
	}
	return redis.ReadError(err)
}

// remake makes the group again on a server that has lost its data: what is
// published from then on is read from the beginning. A group that was deleted
// stays so.
func (m *member) remake(ctx context.Context) error {
	_, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (any, error) {
		deleted, err := m.d.client.HExists(ctx, m.d.deletedKey(), m.g.Name).Result()
		if err != nil {
			return nil, err
		}
		if deleted {
			return nil, fault.Markf(fault.NotFound, "group %q was deleted", m.g.Name)
		}
		return nil, nil
	})
	if err != nil {
		return redis.ReadError(err)
	}
	m.d.log.Warn("event: group is gone, as after a loss of data; making it again", "stream", m.d.key, "group", m.g.Name)
	g := m.g
	g.Start = event.Beginning()
	_, err = m.d.Join(ctx, g)
	return err
}

func (m *member) Ack(ctx context.Context, ds []event.Delivered) error {
	_, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (int64, error) {
		return m.d.client.XAck(ctx, m.d.key, m.g.Name, ids(ds)...).Result()
	})
	return redis.WriteError(err)
}

func ids(ds []event.Delivered) []string {
	list := make([]string, len(ds))
	for i, d := range ds {
		list[i] = d.Position
	}
	return list
}

// extendScript makes deliveries young again, those that are still the consumer's.
var extendScript = goredis.NewScript(`
for i = 3, #ARGV do
	local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
	if p[1] and p[1][2] == ARGV[2] then
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
	end
end`)

// releaseScript makes deliveries look long abandoned, and not counted.
var releaseScript = goredis.NewScript(`
for i = 3, #ARGV, 2 do
	local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
	if p[1] and p[1][2] == ARGV[2] then
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', 1000000000000, 'RETRYCOUNT', ARGV[i+1], 'JUSTID')
	end
end`)

// chunk is how many deliveries one script looks at.
const chunk = 500

func (m *member) Extend(ctx context.Context, ds []event.Delivered) error {
	if m.lease != nil {
		return m.lease.renew(ctx)
	}
	for len(ds) > 0 {
		n := min(len(ds), chunk)
		args := []any{m.g.Name, m.g.Consumer}
		for _, d := range ds[:n] {
			args = append(args, d.Position)
		}
		if err := m.run(ctx, extendScript, args); err != nil {
			return err
		}
		ds = ds[n:]
	}
	return nil
}

func (m *member) Release(ctx context.Context, ds []event.Delivered) error {
	for len(ds) > 0 {
		n := min(len(ds), chunk)
		args := []any{m.g.Name, m.g.Consumer}
		for _, d := range ds[:n] {
			args = append(args, d.Position, strconv.Itoa(max(d.Attempt-1, 0)))
		}
		if err := m.run(ctx, releaseScript, args); err != nil {
			return err
		}
		ds = ds[n:]
	}
	return nil
}

func (m *member) run(ctx context.Context, s *goredis.Script, args []any) error {
	_, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (any, error) {
		return s.Run(ctx, m.d.client, []string{m.d.key}, args...).Result()
	})
	if err == goredis.Nil {
		err = nil
	}
	return redis.WriteError(err)
}

func (m *member) Lag(ctx context.Context) (event.Lag, error) {
	infos, err := redis.Do(ctx, m.d.client, func(ctx context.Context) ([]goredis.XInfoGroup, error) {
		return m.d.client.XInfoGroups(ctx, m.d.key).Result()
	})
	if err != nil {
		return event.Lag{}, redis.ReadError(err)
	}
	for _, i := range infos {
		if i.Name == m.g.Name {
			return event.Lag{Pending: i.Pending, Behind: i.Lag}, nil
		}
	}
	return event.Lag{}, fault.NotFound
}

// closeScript releases what the consumer still has, as a fetch that was cut
// off may have left it, and removes the consumer, which must own nothing then.
var closeScript = goredis.NewScript(`
while true do
	local p = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, ARGV[2])
	if #p == 0 then break end
	for i = 1, #p do
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, p[i][1], 'IDLE', 1000000000000, 'RETRYCOUNT', p[i][4], 'JUSTID')
	end
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])`)

// nobody is the consumer that has what closed members left.
// No user's name has a control character.
const nobody = "\x00released"

func (m *member) Close(ctx context.Context) error {
	m.waiter.close()
	err := m.run(ctx, closeScript, []any{m.g.Name, m.g.Consumer, nobody})
	if isAnswer(err, "NOGROUP") || isAnswer(err, "no such key") || isAnswer(err, "requires the key to exist") {
		err = nil
	}
	if m.lease != nil {
		if e := m.lease.release(ctx); err == nil {
			err = e
		}
	}
	return err
}

// Holds is for the exclusive one.
func (m *member) Holds() bool { return m.lease == nil || m.lease.holds() }
