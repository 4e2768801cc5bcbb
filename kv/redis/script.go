package redis

import (
	"strconv"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// Conditional writes and Add are scripts: one step for the server, which answers
// a request that comes twice as it answered it the first time, and does it
// once. For that a script leaves the request's number, and what it answered, in
// a mark: a key beside that of the item.
//
// It looks for its number also when it is not known to have come before. A
// request whose connection was given up may still arrive, after the one that
// was sent in its place.
//
// KEYS: the key, the mark. ARGV: the request's number, then the arguments.
const (
	// ifMatch goes on if the value is the one that was asked for, and the
	// request new. It sets the mark and looks what it was in one command.
	ifMatch = `
local call = redis.call
local cur = call('GET', KEYS[1])
if cur then
	cur = string.sub(redis.sha1hex(cur), 1, 16)
else
	cur = 'absent'
end
if cur ~= ARGV[2] then
	if call('GET', KEYS[2]) == ARGV[1] then return 1 end
	return 0
end
if call('SET', KEYS[2], ARGV[1], 'EX', '10', 'GET') == ARGV[1] then return 1 end
`
	putScript = ifMatch + `
if ARGV[4] then
	call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
else
	call('SET', KEYS[1], ARGV[3])
end
return 1
`
	deleteScript = ifMatch + `
call('DEL', KEYS[1])
return 1
`
	// The sum is read, not taken from INCRBY's answer: that would go through a
	// float and lose digits.
	addScript = `
local call = redis.call
local mark = call('GET', KEYS[2])
if mark then
	local request, answer = string.match(mark, '^(%S+) (%S+)$')
	if request == ARGV[1] then return answer end
end
local there = call('EXISTS', KEYS[1])
call('INCRBY', KEYS[1], ARGV[2])
if there == 0 and ARGV[3] then call('PEXPIRE', KEYS[1], ARGV[3]) end
local answer = call('GET', KEYS[1])
call('SET', KEYS[2], ARGV[1] .. ' ' .. answer, 'EX', '10')
return answer
`
)

type script struct {
	*goredis.Script
	text string
}

func newScript(text string) script { return script{goredis.NewScript(text), text} }

var (
	putIf    = newScript(putScript)
	deleteIf = newScript(deleteScript)
	add      = newScript(addScript)
)

// script returns that of a kind.
func (k opKind) script() script {
	switch k {
	case opPutIf:
		return putIf
	case opDeleteIf:
		return deleteIf
	}
	return add
}

// marks are the keys in which scripts leave their mark. One that was answered
// gives its key to the next: that is cheaper for the server than a new key, and
// leaves it no more keys than calls were ever made at once. A key whose request
// may be still on its way is not used again.
type marks struct {
	prefix string // no other driver has it
	mu     sync.Mutex
	free   map[string][]string // by the slot's tag
	made   uint64
}

const markPrefix = "go-platform:once:"

// take returns a key in the slot that has the tag, which is empty if there are
// no slots.
func (m *marks) take(tag string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if free := m.free[tag]; len(free) > 0 {
		m.free[tag] = free[:len(free)-1]
		return free[len(free)-1]
	}
	m.made++
	name := m.prefix + strconv.FormatUint(m.made, 36)
	if tag == "" {
		return markPrefix + name
	}
	return markPrefix + "{" + tag + "}" + name
}

func (m *marks) give(tag, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free == nil {
		m.free = map[string][]string{}
	}
	m.free[tag] = append(m.free[tag], key)
}
