package redis

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// member is one consumer of a group. What Fetch does next is the business of shared,
// or of turn for an exclusive group.
type member struct {
	d      *driver
	g      event.GroupConfig
	lease  *lease // of an exclusive group
	waiter waiter

	// Used by Fetch only.
	next   func(ctx context.Context, limit int) ([]event.Delivered, error) // one round; it may return nothing
	ds     []event.Delivered                                               // that were returned last
	reaped time.Time                                                       // when dead consumers were last looked for
}

func (m *member) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ds, err := m.next(ctx, limit)
		if isAnswer(err, "NOGROUP") {
			err = m.remake(ctx)
		}
		if err != nil || len(ds) > 0 {
			return ds, err
		}
	}
}

// remake makes the group again on a server that has lost its data: what is
// published from then on is read from the beginning. A group that was deleted
// stays so.
func (m *member) remake(ctx context.Context) error {
	deleted, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (bool, error) {
		return m.d.client.HExists(ctx, m.d.deletedKey(), m.g.Name).Result()
	})
	switch {
	case err != nil:
		return redis.ReadError(err)
	case deleted:
		return fault.Markf(fault.NotFound, "group %q was deleted", m.g.Name)
	}
	m.d.log.Warn("event: group is gone, as after a loss of data; making it again", "stream", m.d.key, "group", m.g.Name)
	g := m.g
	g.Start = event.Beginning()
	_, err = m.d.Join(ctx, g)
	return err
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
