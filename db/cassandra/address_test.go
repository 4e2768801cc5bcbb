package cassandra

import (
	"fmt"
	"testing"
)

func TestAddressesAreRead(t *testing.T) {
	for address, want := range map[string]string{
		"h":                            `[h:9042] 9042 //`,
		"h:1":                          `[h:1] 1 //`,
		"h, g:1":                       `[h:9042 g:1] 1 //`,
		"cassandra://h":                `[h:9042] 9042 //`,
		"cassandra://h/d":              `[h:9042] 9042 //d`,
		"cassandra://h/d,e":            `[h:9042] 9042 //d,e`,
		"cassandra://u:p@h,g":          `[h:9042 g:9042] 9042 u/p/`,
		"cassandra://u:p@h:1,g:2/d":    `[h:1 g:2] 2 u/p/d`,
		"cassandra://u:p%40%2C@h,g/d":  `[h:9042 g:9042] 9042 u/p@,/d`,
		"cassandra://u:p@[::1],[::2]/": `[[::1]:9042 [::2]:9042] 9042 u/p/`,
	} {
		c := config{address: address}
		err := c.read()
		if got := fmt.Sprintf("%v %d %s/%s/%s", c.hosts, c.port, c.user, c.password, c.keyspace); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{"", "://", "cassandra://", "cassandra://u:p@", "cassandra://u:p@/d", "cassandra://@h", "h,", "cassandra://h?x=y", "u:p@h"} {
		c := config{address: address}
		if err := c.read(); err == nil {
			t.Errorf("%q: no error", address)
		}
	}
}
