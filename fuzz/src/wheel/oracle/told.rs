//! What a run of the driver ends, and who is told of it.

use super::{Call, End, Node, Oracle, State};

impl Oracle {
    /// The driver runs within this call.
    pub(in crate::wheel) fn run(&mut self, call: Call) {
        self.running = Some(call);
        self.fired = None;
        self.latest = self.latest.max(self.now);
    }

    /// A driver has ended a context, as was found.
    ///
    /// # Panics
    ///
    /// If it had no reason to.
    pub(in crate::wheel) fn expire(&mut self, node: Node, call: Call) {
        let state = &self.nodes[node];
        assert!(state.end.is_none(), "node {node} was done before");
        let at = state.at.expect("only a deadline ends by itself");
        assert!(state.key.is_some(), "node {node} was not armed");
        assert!(
            at <= self.now,
            "node {node} fired {} ns early",
            at - self.now
        );
        if self.tick == 0 {
            assert_eq!(at, self.now, "node {node} fired late");
        }
        self.nodes[node].fired = state.key;
        self.cancel(node, true, call);
    }

    /// A node that nobody could see was taken to be ended with what is above
    /// it, and its own deadline came before that in the same run.
    fn came_first(&mut self, node: Node, taken: End, end: End) {
        let State { at, ended_at, .. } = self.nodes[node];
        let is_due = at.is_some_and(|at| at <= self.now);
        assert!(is_due && ended_at.is_some(), "why node {node} is done");
        self.nodes[node].fired = ended_at;
        for below in node..self.nodes.len() {
            if self.nodes[below].end == Some(taken) && self.ends(node, below) {
                self.nodes[below].end = Some(end);
            }
        }
    }

    /// The callback of a node runs within `call`. The call that it is part of.
    ///
    /// # Panics
    ///
    /// If it is not due, or not yet.
    pub(in crate::wheel) fn told(&mut self, node: Node, end: End, call: Call) -> Call {
        if let Some(place) = self.doubtful.iter().position(|&other| other == node) {
            self.doubtful.swap_remove(place);
            return call;
        }
        if end.origin == node && end.timeout {
            // Nobody could see it before.
            match self.nodes[node].end {
                None => self.expire(node, call),
                Some(known) if known != end => self.came_first(node, known, end),
                Some(_) => {}
            }
        }
        let place = self.due.iter().position(|due| due.node == node);
        let place = place.unwrap_or_else(|| panic!("node {node} is told, and is not due"));
        let due = self.due.remove(place);
        assert_eq!(self.nodes[node].end, Some(end), "why node {node} is done");
        let above = self.nodes[node].parent.filter(|_| node != end.origin);
        if let Some(above) = above {
            let before = self.due.iter().any(|due| due.node == above);
            assert!(!before, "node {node} is told before its parent");
        }
        if let Some((at, number)) = self.nodes[node].fired.filter(|_| self.ordered) {
            let firm = self.nodes[node].firm;
            if let Some((before, earlier, was_firm)) = self.fired {
                assert!(before <= at, "node {node} fires after a later one");
                let in_order = before < at || earlier < number || !firm || !was_firm;
                assert!(in_order, "node {node} fires after one that was armed later");
            }
            self.fired = Some((at, number, firm));
        }
        due.call
    }

    /// A call returns: all that it had to deliver has come.
    ///
    /// # Panics
    ///
    /// If it has not.
    pub(in crate::wheel) fn returns(&self, call: Call) {
        let mut left = self.due.iter().filter(|due| due.call == call);
        if let Some(due) = left.next() {
            panic!("node {} is done, and was never told", due.node);
        }
    }

    /// No run is under way any more.
    pub(in crate::wheel) fn nobody_runs(&mut self) {
        self.running = None;
        self.doubtful.clear();
        self.let_go = 0;
    }
}
