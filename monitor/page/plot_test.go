package page_test

import (
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

// Whoever points at a plot sees its values of that time, and the same time in the plots beside it.
func TestPlotsShowOneTime(t *testing.T) {
	browser := servertest.SharedBrowser(t)
	p := start(t)
	p.settled(t)
	tab := servertest.OpenTab(t, browser, p.url+"#service?name=orders", 1280, 800)
	tab.Await("[...document.querySelectorAll('.chart')].filter((c) => c.querySelector('path')).length === 3")
	point := func(event string) {
		tab.Eval("(() => { const p = document.querySelector('.chart:nth-of-type(2) .plot'), r = p.firstChild.getBoundingClientRect(); p.dispatchEvent(new PointerEvent('" + event + "', { clientX: r.right, clientY: r.top })) })()")
	}
	const shown = "[...document.querySelectorAll('.chart')].map((c) => c.querySelectorAll('.at').length + '' + c.querySelectorAll('.tip').length).join(' ')"
	if got := tab.Eval(shown); got != "00 00 00" {
		t.Fatalf("before: lines and values %q", got)
	}
	point("pointermove")
	tab.Await(shown + " === '10 11 10'")
	tab.Await("document.querySelector('.tip').innerText.includes('failed')")
	point("pointerleave")
	tab.Await(shown + " === '00 00 00'")
	quiet(t, tab)
}

// A plot names round times between its ends, at most three of them, and none that would touch these.
func TestPlotsNameTimes(t *testing.T) {
	browser := servertest.SharedBrowser(t)
	p := start(t)
	p.settled(t)
	tab := servertest.OpenTab(t, browser, p.url+"#service?name=orders", 360, 800)
	for span, round := range map[string]string{"5m": `:\d\d`, "1h": ":(00|15|30|45)", "6h": "[02468]:00", "24h": "(00|06|12|18):00"} {
		tab.Go(p.url + "#service?name=orders&over=" + span)
		tab.Await("document.querySelector('.ranges [aria-current]')?.href.includes('over=" + span + "')")
		tab.Await("(() => { const times = [...document.querySelectorAll('.chart .x')].map((x) => [...x.querySelectorAll('time')]);" +
			"return times.length === 3 && times.every((all) => all.length >= 1 && all.length <= 3 && all.every((t) => /" + round + "$/.test(t.innerText))) })()")
		if got := tab.Eval("[...document.querySelectorAll('.chart .x')].some((x) => { const r = [...x.children].map((c) => c.getBoundingClientRect()).sort((a, b) => a.left - b.left); return r.some((b, i) => i && b.left < r[i - 1].right + 2) })"); got != "false" {
			t.Errorf("over %s names touch each other", span)
		}
	}
	quiet(t, tab)
}
