package redis

import (
	"strconv"
	"strings"
	"sync"
)

const slotCount = 16384

// slotOf returns the cluster slot of key: CRC-16/XMODEM of the key, or of what
// stands between its first "{" and the next "}" if that is not empty.
func slotOf(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slotCount)
}

// tags has a short text for every slot, since a key such as "a}b" cannot be
// put between braces itself.
var tags = sync.OnceValue(func() (t [slotCount]string) {
	for n, missing := 0, slotCount; missing > 0; n++ {
		text := strconv.FormatInt(int64(n), 36)
		if s := slotOf(text); t[s] == "" {
			t[s], missing = text, missing-1
		}
	}
	return t
})

func slotTag(slot int) string { return tags()[slot] }
