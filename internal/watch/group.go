package watch

import (
	"sync"
	"time"
)

// subscribeRetry is the time between two attempts to subscribe to a store.
const subscribeRetry = 5 * time.Second

// Notify makes a store call f for each change: it is that of auth.Notifier. A nil stop and a
// nil error mean that the store cannot hear of changes.
type Notify func(f func(kind uint8, userID string)) (stop func(), err error)

// A Registry has the groups that have a watch. The zero value is an empty Registry. It is safe
// for concurrent use.
type Registry struct {
	mu     sync.Mutex // locked before group.mu
	groups map[any]*group
}

// A group is the watches of one store.
type group struct {
	registry *Registry
	key      any
	notify   Notify // nil if the store is no auth.Notifier

	mu      sync.Mutex
	watches map[Subject]map[*Watch]struct{} // without those that have ended
	urgent  []*Watch                        // asks after a notification
	routine []*Watch                        // other asks
	asks    int                             // goroutines that ask
	stop    func()                          // ends the subscription; nil without one
	retry   *time.Timer                     // of the subscription
	closed  bool                            // the last watch has ended
}

// Add begins a watch in the group of key, which must be comparable. All watches of a key have
// the same notify. The first ask is due at once: a change before Add may have been reported
// already.
func (r *Registry) Add(key any, notify Notify, watched Watched, o Options) *Watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[key]
	if g == nil {
		g = &group{registry: r, key: key, notify: notify, watches: make(map[Subject]map[*Watch]struct{})}
		if r.groups == nil {
			r.groups = make(map[any]*group)
		}
		r.groups[key] = g
		if notify != nil {
			go g.subscribe(true)
		}
	}
	w := &Watch{watched: watched, subject: o.Subject, every: o.Every, group: g, expires: o.Expires}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watches[o.Subject] == nil {
		g.watches[o.Subject] = make(map[*Watch]struct{})
	}
	g.watches[o.Subject][w] = struct{}{}
	g.begin(w)
	return w
}

// remove ends a watch, and its group with the last one.
func (r *Registry) remove(w *Watch) bool {
	g := w.group
	r.mu.Lock()
	defer r.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.ended {
		return false
	}
	w.ended = true
	w.timer.Stop()
	same := g.watches[w.subject]
	if delete(same, w); len(same) == 0 {
		delete(g.watches, w.subject)
	}
	if len(g.watches) == 0 {
		delete(r.groups, g.key)
		g.close()
	}
	return true
}

// close ends the subscription. The caller holds g.mu.
func (g *group) close() {
	g.closed, g.urgent, g.routine = true, nil, nil
	if g.retry != nil {
		g.retry.Stop()
	}
	if g.stop != nil {
		go end(g.stop) // waits for calls of notified, which wait for g.mu
	}
}

// end recovers a panic of a store, which would end the process.
func end(stop func()) {
	defer func() { _ = recover() }()
	stop()
}

// subscribe asks the store to report changes. It has a goroutine of its own, as the store may
// have to connect first. Until it has succeeded, the interval of each watch applies.
func (g *group) subscribe(first bool) {
	stop, err := g.tryNotify()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed && stop != nil:
		go end(stop)
	case g.closed:
	case err != nil:
		g.retry = time.AfterFunc(subscribeRetry, func() { g.subscribe(false) })
	case stop != nil:
		g.stop = stop
		g.subscribed(first)
	}
}

// subscribed makes all ask again, as earlier changes were not reported. After the first
// attempt these are the few watches that began meanwhile. The caller holds g.mu.
func (g *group) subscribed(first bool) {
	now := time.Now()
	for _, same := range g.watches {
		for w := range same {
			if first {
				g.due(w, true)
			} else {
				w.missed(now)
			}
		}
	}
}

type panicked struct{}

func (panicked) Error() string { return "auth: Notify panicked" }

func (g *group) tryNotify() (stop func(), err error) {
	defer func() {
		if v := recover(); v != nil {
			stop, err = nil, panicked{}
		}
	}()
	return g.notify(g.notified)
}

// notified is called by the store. It neither blocks nor calls the store.
func (g *group) notified(kind uint8, userID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if kind == 0 {
		g.subscribed(false)
		return
	}
	for w := range g.watches[Subject{kind, userID}] {
		g.due(w, true)
	}
}

// enqueue starts a goroutine for the ask, unless there are enough. The caller holds g.mu.
func (g *group) enqueue(w *Watch, urgent bool) {
	if urgent {
		g.urgent = append(g.urgent, w)
	} else {
		g.routine = append(g.routine, w)
	}
	if g.asks < maxAsks {
		g.asks++
		go g.work()
	}
}

// work asks until no watch is queued. If an ask calls runtime.Goexit, another goroutine takes
// over: the group must not run out of them.
func (g *group) work() {
	var w *Watch
	defer func() {
		if w != nil {
			go g.work()
			w.settle(Answer{Unknown: true})
		}
	}()
	for w = g.next(); w != nil; w = g.next() {
		w.settle(w.watched.Ask())
	}
}

// next returns a watch to ask about. If there is none, it ends the work of a goroutine.
func (g *group) next() *Watch {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, queue := range [...]*[]*Watch{&g.urgent, &g.routine} {
		for len(*queue) > 0 {
			w := (*queue)[0]
			(*queue)[0] = nil
			*queue = (*queue)[1:]
			if !w.ended && w.state == queued { // it is in both queues if a notification has come later
				w.state, w.again = asking, false
				return w
			}
		}
		*queue = nil // release the memory of a burst
	}
	g.asks--
	return nil
}
