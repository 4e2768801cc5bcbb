package main

import (
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

func TestConfig(t *testing.T) {
	for name, url := range engines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := servertest.Namespace(t)
			s := newShell(t, "PLATFORM_CONFIG="+url, "PLATFORM_CONFIG_NAMESPACE="+ns, "D="+ns+"/prod")
			s.file("whole.json", `{"server":{"port":80,"tags":["a","b"]},"db":{"password":"hunter2"}}`)
			s.steps([]step{
				{"platform config get $D", "", "platform: no document " + ns + "/prod\n", 1},
				{"platform config diff $D", "", "platform: no document " + ns + "/prod\n", 1},
				{"platform config rollback $D 1", "", "platform: no document " + ns + "/prod, or no version 1 of it\n", 1},
				{"platform config unset $D x", "", "platform: no document " + ns + "/prod\n", 1},
				{"platform config history $D", "", "platform: " + ns + "/prod has no such version\n", 1},
				{"platform config put $D < whole.json", ns + "/prod 1: put by ann\n", "", 0},
				{"platform config set $D server.port 8443 -m TLS -author bob", ns + "/prod 2: set server.port by bob: \"TLS\"\n", "", 0},
				{"platform config set $D server.port 8443 -if-version 1", "", "platform: config/store/…\n", 4},
				{"platform config set $D server.name true -text", ns + "/prod 3: set server.name by ann\n", "", 0},
				{"platform config get $D server.port", "8443\n", "", 0},
				{"platform config get $D server.port -version 1", "80\n", "", 0},
				{"platform config get $D server.name", "true\n", "", 0},
				{"platform config get $D server.name -o json", "\"true\"\n", "", 0},
				{"platform config get $D server.tags", "[\n  \"a\",\n  \"b\"\n]\n", "", 0},
				{"platform config get $D server.nothing", "", "platform: " + ns + "/prod version 3 has nothing at \"server.nothing\"\n", 1},
				{"platform config get $D -version 9", "", "platform: no document " + ns + "/prod, or no version 9 of it\n", 1},
				{"platform config get $D -version x", "", "platform: -version \"x\": want a whole number, 0 or more\n", 2},
				{"platform config get $D -o json", `{"db":{"password":"…redacted…"},"server":{"name":"true","port":8443,"tags":["a","b"]}}` + "\n", "", 0},
				{"platform config get $D | grep -c hunter2", "0\n", "", 1},
				{"platform config get $D db.password -reveal", "hunter2\n", "", 0},
				{"echo hunter3 | platform config set $D db.password", ns + "/prod 4: set db.password by ann\n", "", 0},
				{"platform config get $D db.password -reveal", "hunter3\n", "", 0},
				{"platform config diff $D -o json | grep -c hunter", "0\n", "", 1},
				{"platform config diff $D 1 3", "server.name\t\t\"\\\"true\\\"\"\nserver.port\t80\t8443\n", "", 0},
				{"platform config diff $D 1 2 -o json", `{"path":"server.port","old":80,"new":8443}` + "\n", "", 0},
				{"platform config diff $D 2 2", "", "", 0},
				{"platform config diff $D 1 9", "", "platform: no document " + ns + "/prod, or no version 1 or 9 of it\n", 1},
				{"platform config diff $D 0", "", "platform: \"0\" is no version: want a number from 1\n", 2},
				{"platform config rollback $D 1 -m back", ns + "/prod 5: rollback to 1 by ann: \"back\"\n", "", 0},
				{"platform config get $D server.port", "80\n", "", 0},
				{"platform config unset $D server.tags", ns + "/prod 6: unset server.tags by ann\n", "", 0},
				{"platform config unset $D server.tags", "", ns + "/prod has nothing at \"server.tags\"\n", 0},
				{"platform config unset $D server.tags -if-version 5", "", "platform: config/store/…the newest version is 6, not 5\n", 4},
				{"platform config unset $D server.tags -if-version 6", "", ns + "/prod has nothing at \"server.tags\"\n", 0},
				{"platform config history $D | cut -f1,3-", "6\tann\tunset\tserver.tags\t\n5\tann\trollback to 1\t\tback\n4\tann\tset\tdb.password\t\n3\tann\tset\tserver.name\t\n2\tbob\tset\tserver.port\tTLS\n1\tann\tput\t\t\n", "", 0},
				{"platform config history $D -by bob -o json", `{"namespace":"` + ns + `/prod","number":2,"time":"…Z","author":"bob","comment":"TLS","action":"set","path":"server.port",…}` + "\n", "", 0},
				{"platform config history $D -limit 2 | wc -l", "2\n", "… more than 2; -limit 0 lists all\n", 0},
				{"platform config history $D -limit 6 | wc -l", "6\n", "", 0},
				{"platform config history $D -since 1h | wc -l", "6\n", "", 0},
				{"platform config history $D -until 1h", "", "platform: " + ns + "/prod has no such version\n", 1},
				{"platform config list | grep -c ^$D$", "1\n", "", 0},
				{"platform config delete $D -m bye -if-version 5", "", "platform: …\n", 4},
				{"platform config delete $D -m bye", ns + "/prod 7: delete by ann: \"bye\"\n", "", 0},
				{"platform config get $D", "", "platform: no document " + ns + "/prod\n", 1},
				{"platform config delete $D", "", "platform: no document " + ns + "/prod\n", 1},
				{"platform config get $D server.port -version 6", "80\n", "", 0},
				{"platform config put $D '{'", "", "platform: config/store/…invalid…\n", 2},
				{"platform config put ${D}2 '{}'", "…", "", 0},
				{`printf 'a\r\nb\n' | platform config set ${D}2 note`, "…", "", 0},
				{"platform config get ${D}2 note", "a\r\nb\n", "", 0},
				{`printf '\377' | platform config set ${D}2 note`, "", "platform: the value is not UTF-8\n", 2},
			})
			w := s.follow("platform config watch ${D}2")
			w.await("…\t2\tann\tset\tnote\t\n")
			quiet := s.follow("platform config watch $D -changes -o json")
			quiet.awaitErr("watching\n")
			s.steps([]step{
				{"platform config set ${D}2 note bye -m why && platform config put $D '{}' && platform config delete $D", "…", "", 0},
			})
			w.await("…\t2\tann\tset\tnote\t\n…\t3\tann\tset\tnote\twhy\n")
			quiet.await(`{…"number":8,…"action":"put",…}` + "\n" + `{…"number":9,…"action":"delete",…}` + "\n")
			w.interrupt()
			quiet.interrupt()
		})
	}
}
