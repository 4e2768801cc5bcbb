package main

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

func TestKV(t *testing.T) {
	for name, url := range engines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, "PLATFORM_KV="+url, "PLATFORM_KV_NAMESPACE="+servertest.Namespace(t))
			s.steps([]step{
				{"platform kv list", "", "", 0},
				{"platform kv get greeting", "", "platform: kv/…: get \"greeting\": not found\n", 1},
				{"platform kv put greeting hello", "put greeting, 5 B, revision …\n", "", 0},
				{"platform kv get greeting", "hello", "", 0},
				{`platform kv get greeting -o json`, `{"key":"greeting","value":"hello","revision":"…"}` + "\n", "", 0},
				{`platform kv put greeting again -if-absent`, "", "platform: kv/…: put \"greeting\": …exist…\n", 4},
				{`platform kv put greeting again -if-revision 0`, "", "platform: kv/…: put \"greeting\": …\n", 4},
				{`r=$(platform kv get greeting -o json | sed 's/.*"revision":"\([0-9]*\)".*/\1/'); platform kv put -if-revision $r greeting again -o json`, `{"key":"greeting","revision":"…"}` + "\n", "", 0},
				{`platform kv get greeting`, "again", "", 0},
				{`printf 'a\0\377' | platform kv put bytes`, "put bytes, 3 B, revision …\n", "", 0},
				{`platform kv get bytes | od -An -tx1`, " 61 00 ff\n", "", 0},
				{`platform kv get bytes -o json`, `{"key":"bytes","base64":"YQD/","revision":"…"}` + "\n", "", 0},
				{`printf 'two\twords' | platform kv put 'a	tab' -`, "…", "", 0},
				{`platform kv put soon x -ttl 90s`, "…", "", 0},
				{`platform kv get soon -o json`, `{"key":"soon","value":"x","revision":"…","expires":"20…Z"}` + "\n", "", 0},
				{"platform kv list", "\"a\\ttab\"\t\t\"two\\twords\"\nbytes\t\t\"a\\x00\\xff\"\ngreeting\t\tagain\nsoon\t20…Z\tx\n", "", 0},
				{"platform kv list g -keys", "greeting\n", "", 0},
				{"platform kv list -keys -after bytes -o json", `{"key":"greeting","revision":"…"}` + "\n" + `{"key":"soon",…}` + "\n", "", 0},
				{"platform kv list -keys -limit 4", "…\nsoon\n", "", 0},
				{"platform kv list -keys -limit 3", "…\ngreeting\n", "… more than 3; -limit 0 lists all\n", 0},
				{"platform kv list -keys -limit 0", "…\nsoon\n", "", 0},
				{"platform kv add visits 5", "5\n", "", 0},
				{"platform kv add visits -7", "-2\n", "", 0},
				{"platform kv add visits 1 -o json", `{"key":"visits","value":-1}` + "\n", "", 0},
				{"platform kv add greeting 1", "", "platform: kv/…: add \"greeting\": invalid: …\n", 2},
				{"platform kv delete bytes soon nothing visits", "deleted bytes\ndeleted soon\ndeleted nothing\ndeleted visits\n", "", 0},
				{"platform kv delete greeting -if-revision 123456789", "", "platform: kv/…: delete \"greeting\": …\n", 4},
				{"platform kv list -keys", "\"a\\ttab\"\ngreeting\n", "", 0},
				{"platform kv list -namespace elsewhere-" + name, "", "", 0},
			})
			f := s.follow("platform kv watch g")
			f.await("put\tgreeting\tagain\n")
			new := s.follow("platform kv watch -changes -o json")
			for i := 0; !strings.Contains(new.err.String(), "watching"); i++ {
				s.run("true")
			}
			s.steps([]step{{"platform kv put greeting more && platform kv delete greeting", "…", "", 0}})
			f.await("put\tgreeting\tagain\n…delete\tgreeting\n") // what is between may be skipped
			new.await(`…{"kind":"delete","key":"greeting"}` + "\n")
			if strings.Contains(new.out.String(), "again") {
				t.Errorf("-changes printed what was there: %q", new.out)
			}
			f.interrupt()
			new.interrupt()
		})
	}
}

// memcached can't list and watch, which is bad use.
func TestMemcached(t *testing.T) {
	t.Parallel()
	s := newShell(t, "PLATFORM_KV=memcached://"+servertest.SharedMemcached(t).Addr(), "PLATFORM_KV_NAMESPACE="+servertest.Namespace(t))
	s.steps([]step{
		{"platform kv get greeting", "", "platform: kv/memcached: get \"greeting\": not found\n", 1},
		{"platform kv put greeting hello -ttl 1h && platform kv get greeting", "put greeting, 5 B, revision …\nhello", "", 0},
		{"platform kv put greeting again -if-absent", "", "platform: kv/memcached: put \"greeting\": …exist…\n", 4},
		{"platform kv add visits 3", "3\n", "", 0},
		{"platform kv list", "", "platform: kv/memcached: list: not supported by this backend\n", 2},
		{"platform kv watch", "", "platform: kv/memcached: watch: not supported by this backend\n", 2},
		{"platform kv delete greeting visits && platform kv get greeting", "deleted greeting\ndeleted visits\n", "platform: kv/…not found\n", 1},
		{"platform config get shop", "", "platform: no address: give -config or set PLATFORM_CONFIG; …\n", 2},
		{"platform config get shop -config $PLATFORM_KV", "", "platform: engine: options: invalid: address …want a URL with a scheme of …\n", 2},
	})
}
