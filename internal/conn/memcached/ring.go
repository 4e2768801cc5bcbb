package memcached

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"slices"
	"strconv"
)

// ring is ketama's continuum (Last.fm, libketama): 160 points for each server,
// four from each MD5 of "host:port-n". A server that comes or goes moves only
// the keys next to its points.
type ring []point

type point struct {
	at     uint32
	server int
}

func newRing(servers []string) ring {
	if len(servers) < 2 {
		return nil
	}
	var r ring
	for i, name := range servers {
		for n := range 40 {
			sum := md5.Sum([]byte(name + "-" + strconv.Itoa(n)))
			for k := range 4 {
				r = append(r, point{binary.LittleEndian.Uint32(sum[4*k:]), i})
			}
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return r
}

func (r ring) pick(key string) int {
	sum := md5.Sum([]byte(key))
	at := binary.LittleEndian.Uint32(sum[:])
	i, _ := slices.BinarySearchFunc(r, at, func(p point, at uint32) int { return cmp.Compare(p.at, at) })
	return r[i%len(r)].server // behind the last point comes the first
}
