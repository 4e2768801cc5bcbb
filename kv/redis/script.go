package redis

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
)

// script is one that the server keeps, and is sent to it once.
type script struct{ text, hash string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text, hex.EncodeToString(sum[:])}
}

// Each has one key, so it runs also while a cluster moves the key's slot.

// ifMatch goes on if the value has the revision ARGV[1]. A large value is not
// hashed here: that would stop all clients of the server for milliseconds.
var ifMatch = `
local cur = redis.call('GET', KEYS[1])
if not cur then return 0 end
if #cur >= ` + strconv.Itoa(large) + ` then return -1 end
if string.sub(redis.sha1hex(cur), 1, 16) ~= ARGV[1] then return 0 end
`

// set writes ARGV[2], for ARGV[3] milliseconds if that is not 0.
const set = `
if ARGV[3] ~= '0' then
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
	redis.call('SET', KEYS[1], ARGV[2])
end
return 1
`

var (
	putScript    = newScript(ifMatch + set)
	deleteScript = newScript(ifMatch + `
redis.call('DEL', KEYS[1])
return 1
`)
	// sameScript writes, or deletes without an ARGV[2], if the value is ARGV[1].
	sameScript = newScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if not ARGV[2] then
	redis.call('DEL', KEYS[1])
	return 1
end
` + set)
	// The sum is read, not taken from INCRBY's answer: that would go through a
	// float and lose digits.
	addScript = newScript(`
local there = redis.call('EXISTS', KEYS[1])
redis.call('INCRBY', KEYS[1], ARGV[1])
if there == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
`)
)
