public enum Symbol: String, Sendable { case oil, battery }
