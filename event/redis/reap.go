package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// reapScript removes the consumers of ARGV[1] that have nothing and were not heard
// of for ARGV[3] ms, except the one that asks and the one that has what
// closed members left. Redis itself keeps a consumer until somebody deletes it,
// and a process that was killed deletes nothing. Removing one that lives loses
// nothing: its next read makes it again.
var reapScript = goredis.NewScript(`
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
	local name, pending, idle
	for i = 1, #c, 2 do
		if c[i] == 'name' then name = c[i+1] end
		if c[i] == 'pending' then pending = c[i+1] end
		if c[i] == 'idle' then idle = c[i+1] end
	end
	if pending == 0 and idle > tonumber(ARGV[3]) and name ~= ARGV[2] and name ~= ARGV[4] then
		redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
	end
end`)

// reap removes dead consumers, about once in AckWait. A live member reads several
// times in AckWait, or has something pending. What the server answers is no
// concern: that the group is gone, the read that follows finds out.
func (m *member) reap(ctx context.Context) error {
	if time.Since(m.reaped) < m.g.AckWait {
		return nil
	}
	err := m.run(ctx, reapScript, []any{m.g.Name, m.g.Consumer, (3 * m.g.AckWait).Milliseconds(), nobody})
	m.reaped = time.Now()
	if isAnswer(err, "") {
		return nil
	}
	return err
}
