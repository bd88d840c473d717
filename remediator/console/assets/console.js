// Keeps a page fresh. Everything works without it: it fetches the page that is
// shown, as a reload would, and puts what changed in the place of what was.
(() => {
  'use strict';
  const root = document.documentElement;
  const body = document.body;
  const units = (root.dataset.units || 's m h d').split(' ');

  // Times go on by themselves; the server writes them the same way.
  function length(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const part = (n, unit) => n + '\u00a0' + units[unit];
    if (s < 60) return part(s, 0);
    if (s < 3600) return part(Math.floor(s / 60), 1);
    if (s < 48 * 3600) return part(Math.floor(s / 3600), 2) + ' ' + part(Math.floor(s % 3600 / 60), 1);
    return part(Math.floor(s / 86400), 3);
  }
  let ahead = 0; // how far this clock is ahead of the server's, in milliseconds
  function tick() {
    const now = Date.now() - ahead;
    for (const t of document.querySelectorAll('time[data-age], time[data-left]')) {
      const at = Date.parse(t.dateTime);
      const text = length(('age' in t.dataset ? now - at : at - now) / 1000);
      if (t.textContent !== text) t.textContent = text;
    }
  }

  // morph makes one element like another and keeps what stays: focus, what somebody
  // types, and where they scrolled.
  const keyOf = (n) => n.nodeType === 1 ? n.tagName + '|' + (n.id || n.dataset.key || n.getAttribute('name') || '') : n.nodeType + '|';
  const kept = (n) => n.tagName === 'INPUT' && n.type !== 'hidden';
  function morph(was, is) {
    if (kept(was)) return false;
    let changed = false;
    for (const a of [...was.attributes]) if (!is.hasAttribute(a.name) && a.name !== 'class') was.removeAttribute(a.name);
    for (const a of is.attributes) if (was.getAttribute(a.name) !== a.value) was.setAttribute(a.name, a.value);
    if (was.tagName === 'TIME') return false;
    const old = [...was.childNodes];
    let at = 0;
    for (const next of [...is.childNodes]) {
      let found = old.indexOf(old.slice(at).find((n) => keyOf(n) === keyOf(next)));
      const keyed = next.nodeType === 1 && (next.id || next.dataset.key);
      if (found < 0 || (!keyed && found !== at && keyOf(old[at] || next) !== keyOf(next) && old.length - at <= is.childNodes.length - at)) {
        was.insertBefore(document.importNode(next, true), old[at] || null);
        changed = changed || next.nodeType === 1 || next.data.trim() !== '';
        continue;
      }
      for (; at < found; at++) { old[at].remove(); changed = true; }
      const mine = old[at++];
      if (mine.nodeType === 1) {
        if (morph(mine, next)) {
          changed = true;
          if (mine.tagName === 'TR') { mine.classList.remove('fresh'); void mine.offsetWidth; mine.classList.add('fresh'); }
        }
      } else if (mine.data !== next.data) {
        mine.data = next.data;
        changed = true;
      }
    }
    for (; at < old.length; at++) { changed = changed || old[at].nodeType === 1; old[at].remove(); }
    return changed;
  }

  const live = document.getElementById('live');
  function tell(how) {
    const l = document.getElementById('live');
    if (!l) return;
    l.className = how === 'lost' ? 'live lost' : 'live on';
    const text = l.dataset[how];
    if (l.textContent !== text) l.textContent = text;
  }

  let busy = false, again = false, how = 'poll', said = '';
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, {headers: {Accept: 'text/html'}, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(20000)});
      if (!answer.ok) throw new Error(String(answer.status));
      const date = Date.parse(answer.headers.get('Date'));
      if (date) ahead = Math.abs(Date.now() - date) > 2000 ? Date.now() - date : 0;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const id of ['nav', 'banners', 'chips', 'sick', 'table', 'list', 'now', 'record', 'history']) {
        const was = document.getElementById(id), is = fresh.getElementById(id);
        if (was && is) {
          if (id === 'banners') keepNotice(was, is);
          morph(was, is);
        }
      }
      const chips = document.getElementById('chips'), note = chips ? chips.innerText.replace(/\s+/g, ' ').trim() : '';
      if (said && note !== said) document.getElementById('said').textContent = note;
      said = note;
      tell(how);
    } catch (e) {
      tell('lost');
    } finally {
      busy = false;
      tick();
      if (again) { again = false; soon(); }
    }
  }
  // What was just done stays until somebody goes elsewhere.
  function keepNotice(was, is) {
    const mine = was.querySelector(':scope > [role=status], :scope > [role=alert]');
    if (mine && !is.querySelector(':scope > [role=status], :scope > [role=alert]')) is.prepend(document.importNode(mine, true));
  }

  let timer = 0;
  function soon() { // many events make one refresh
    if (timer) return;
    timer = setTimeout(() => { timer = 0; refresh(); }, 300);
  }

  let polling = 0;
  function poll(every) {
    clearInterval(polling);
    polling = setInterval(() => { if (!document.hidden) soon(); }, every);
  }

  setInterval(tick, 1000);
  tick();
  if (!live || !('live' in body.dataset)) return;
  if (new URLSearchParams(location.search).has('done')) { // a reload doesn't say it again
    const u = new URL(location.href);
    u.searchParams.delete('done');
    history.replaceState(null, '', u);
  }
  tell('poll');
  poll(3000);
  // A page that nobody sees holds no connection: a browser has six of them for one
  // host, and the server room for 64 listeners.
  let events = null;
  function listen() {
    if (events || !('EventSource' in window)) return;
    events = new EventSource(body.dataset.api + '/events');
    events.onopen = () => { how = 'live'; poll(15000); tell('live'); };
    events.onerror = () => { how = 'poll'; poll(3000); };
    for (const name of ['step', 'changed', 'member']) events.addEventListener(name, soon);
  }
  function leave() {
    if (events) events.close();
    events = null;
  }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { leave(); return; }
    listen();
    soon();
  });
  addEventListener('pagehide', leave);
  addEventListener('pageshow', (e) => { if (e.persisted) { listen(); soon(); } });
  listen();
})();
